#include "distributed/route.h"

#ifdef HAS_C10D

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace distributed {
namespace {

struct Route {
  std::string own, theirs;  // numeric; both empty where there is no way
  bool inside = true;       // it does not leave this machine
};

std::string numeric(const sockaddr* address, socklen_t length) {
  char text[NI_MAXHOST];
  return getnameinfo(address, length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0 ? text : "";
}

bool is_loopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return (ntohl(reinterpret_cast<const sockaddr_in&>(address).sin_addr.s_addr) >> 24) == 127;
  const in6_addr& v6 = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

// The way to a host, by the system's own tables: connecting a datagram socket sends nothing.
Route route_to(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  Route route;
  if (getaddrinfo(host.c_str(), "9", &hints, &found) != 0) return route;
  for (const addrinfo* to = found; to != nullptr && route.own.empty(); to = to->ai_next) {
    const int socket = ::socket(to->ai_family, SOCK_DGRAM, 0);
    if (socket < 0) continue;
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    if (connect(socket, to->ai_addr, to->ai_addrlen) == 0 && getsockname(socket, reinterpret_cast<sockaddr*>(&from), &length) == 0)
      route = {numeric(reinterpret_cast<const sockaddr*>(&from), length), numeric(to->ai_addr, to->ai_addrlen), is_loopback(from)};
    close(socket);
  }
  freeaddrinfo(found);
  return route;
}

// By which a rank of another machine reaches that of rank 0; empty where no rank is on another one.
std::string seen_from_outside(c10d::Store& store, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    const std::string theirs = text_of(store.get(key)).substr(1);
    if (!theirs.empty()) return theirs;
  }
  return "";
}

}  // namespace

std::string own_address(c10d::Store& store, const std::string& master, int rank, int size) {
  const Route route = route_to(master);
  std::vector<std::string> keys;
  for (int i = 0; i < size; i++) keys.push_back("route/" + std::to_string(i));
  // A store may refuse empty values.
  store.set(keys[rank], bytes_of("=" + (route.inside ? "" : route.theirs)));
  store.wait(keys);
  if (!route.inside) return route.own;
  const std::string outside = seen_from_outside(store, keys);
  // Others may see an address that is translated on the way.
  return outside.empty() || route_to(outside).own != outside ? route.own : outside;
}

}  // namespace distributed

#endif
