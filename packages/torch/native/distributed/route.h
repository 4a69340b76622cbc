// Which of this machine's addresses the others are to find it by.
#pragma once

#include "distributed/group.h"

#ifdef HAS_C10D

#include <string>

namespace distributed {

// The address that this machine has in the network in which `master` is rank 0: all ranks of all machines reach each other by those. Waits
// until all of `size` ranks have come. The machine's name, which c10d takes, means a loopback on many, as by Debian's /etc/hosts.
std::string own_address(c10d::Store& store, const std::string& master, int rank, int size);

}  // namespace distributed

#endif
