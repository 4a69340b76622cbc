// What needs CUDA's headers, compiled as one file, as binding.cc, and with flags of its own: see scripts/cuda.mjs.
#include "cuda/graph.cc"
#include "cuda/norm.cc"
#include "cuda/program.cc"
