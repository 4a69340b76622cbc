// Groups of processes by libtorch's c10d, compiled as one file, as binding.cc, and with flags of its own: see scripts/distributed.mjs.
#include "distributed/group.cc"
#include "distributed/route.cc"
#include "distributed/shared.cc"
#include "distributed/operators.cc"
#include "distributed/buckets.cc"
