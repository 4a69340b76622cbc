// Several processes as one group, by c10d: joining it, leaving it, and its store.
//
// The build defines HAS_C10D where the library that was found has c10d with Gloo, and HAS_NCCL where it has NCCL and its headers are there.
#include "distributed/group.h"
#include "distributed/route.h"
#include "distributed/shared.h"
#include "state.h"

#include <chrono>
#include <cstdlib>
#include <future>
#include <thread>

namespace distributed {

[[noreturn]] void absent() {
  TORCH_CHECK(false, "this libtorch has no c10d with Gloo, so it cannot compute in several processes: use one process, or another libtorch "
                     "(Debian's libtorch-dev and PyTorch's own wheels have it)");
}

#ifdef HAS_C10D

Group*& current() {
  static Group* group = nullptr;
  return group;
}

Group& group(const char* op) {
  TORCH_CHECK(current() != nullptr, op, " needs a group of processes: call initProcessGroup() first");
  return *current();
}

Backend& backend_of(Group& group, const at::Tensor& tensor) { return group.nccl && tensor.is_cuda() ? *group.nccl : *group.gloo; }

void finish(std::vector<Work>& works) {
  std::exception_ptr first;
  for (const Work& work : works) {  // all of them: one that is under way still writes to its tensors
    try {
      work->wait();
    } catch (...) {
      if (!first) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
}

void are_unlike(const char* op) {
  TORCH_CHECK(false, op, " got tensors of other sizes or memory layouts on other ranks; all must pass the same list");
}

void check_signature(const char* op, const at::Tensor& sum, double own) {
  if (sum.is_cpu() && *sum.data_ptr<float>() != own * group(op).size) are_unlike(op);
}

#endif

}  // namespace distributed

namespace binding {
namespace {

using namespace distributed;

#ifdef HAS_C10D

std::shared_ptr<::gloo::transport::Device> gloo_device(const std::string& address) {
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr && *interface != '\0') return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  return c10d::ProcessGroupGloo::createDeviceForHostname(address);
}

constexpr const char* kFailed = "failed";
constexpr const char* kUnconnected = "ranks connecting to each other: ";

// Why another rank could not connect; empty while none has failed.
std::string failure_of_others(c10d::Store& store) {
  try {
    return store.check({kFailed}) ? "another rank has failed: " + text_of(store.get(kFailed)) : "";
  } catch (const std::exception&) {
    return "rank 0 has failed, and its store with it";
  }
}

void tell_others(c10d::Store& store, const std::string& reason) {
  try {
    store.set(kFailed, bytes_of(reason));
  } catch (const std::exception&) {  // Rank 0 has left, which tells them as well.
  }
}

// Where one cannot connect, Gloo waits five times as long as it was told, and nobody tells the others: so it connects on a thread of its own,
// while this one looks at the clock and the store. A thread that is given up stays until the process ends.
c10::intrusive_ptr<Backend> connect_gloo(c10d::Store& store, std::chrono::milliseconds timeout,
                                         std::packaged_task<c10::intrusive_ptr<Backend>()> connect) {
  auto made = connect.get_future();
  std::thread(std::move(connect)).detach();
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (made.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
    TORCH_CHECK(std::chrono::steady_clock::now() < end, kUnconnected, "timed out");
    const std::string failure = failure_of_others(store);
    TORCH_CHECK(failure.empty(), kUnconnected, failure);
  }
  std::string reason;
  try {
    return made.get();
  } catch (const c10::Error& error) {
    reason = error.what_without_backtrace();
  } catch (const std::exception& error) {
    reason = error.what();
  }
  tell_others(store, reason);
  TORCH_CHECK(false, kUnconnected, reason);
}

#endif

// joinGroup(address, port, rank, size, prefix, timeout in ms, nccl, one machine): blocks until all ranks are there. Rank 0 hosts the store.
napi_value join_group(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
#ifdef HAS_C10D
    TORCH_CHECK(current() == nullptr, "this process is in a group already: call destroyProcessGroup() first");
    const std::string address = read_string(env, call.values[0]), prefix = read_string(env, call.values[4]);
    const std::chrono::milliseconds timeout(read_int64(env, call.values[5], "a time-out"));
    auto made = std::make_unique<Group>();
    made->rank = read_int32(env, call.values[2], "a rank");
    made->size = read_int32(env, call.values[3], "a size");
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(read_int32(env, call.values[1], "a port"));
    options.isServer = made->rank == 0;
    options.timeout = timeout;
    made->store = c10::make_intrusive<c10d::PrefixStore>(prefix, c10::make_intrusive<c10d::TCPStore>(address, options));
    // What joining takes is told by names of its own, which storeSet and storeGet do not see. All wait there for each other, rank 0 too: the
    // store's own count of workers would make it wait a time-out longer than it says.
    const auto joining = c10::make_intrusive<c10d::PrefixStore>("joining", made->store);
    const auto device = gloo_device(own_address(*joining, address, made->rank, made->size));
    std::packaged_task<c10::intrusive_ptr<Backend>()> connect([store = made->store, rank = made->rank, size = made->size, timeout, device] {
      auto gloo = c10d::ProcessGroupGloo::Options::create(timeout);
      gloo->threads = 1;  // whoever calls waits
      gloo->devices.push_back(device);
      return c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", store), rank, size, gloo);
    });
    made->gloo = connect_gloo(*joining, timeout, std::move(connect));
    if (read_bool(env, call.values[6], "whether to use NCCL")) {
#ifdef HAS_NCCL
      auto nccl = c10d::ProcessGroupNCCL::Options::create();
      nccl->timeout = timeout;
      made->nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::PrefixStore>("nccl", made->store), made->rank, made->size, nccl);
#else
      TORCH_CHECK(false, "the addon was built without NCCL: it needs a libtorch with CUDA, and the headers nccl.h, crt/host_config.h and nv/target "
                         "(pip install nvidia-nccl-cu13 nvidia-cuda-crt nvidia-cuda-cccl, or a CUDA toolkit), then npm run setup");
#endif
    }
    const bool together = read_bool(env, call.values[7], "whether all ranks are on one machine");
    made->shared = Shared::join(*joining, together, static_cast<int>(made->rank), static_cast<int>(made->size), timeout);
    current() = made.release();
    return nullptr;
#else
    absent();
#endif
  });
}

napi_value leave_group(napi_env env, napi_callback_info) {
  return guarded(env, [&]() -> napi_value {
#ifdef HAS_C10D
    delete current();
    current() = nullptr;
#endif
    return nullptr;
  });
}

// sharesMemory(): whether the ranks of the group add up in memory that all see.
napi_value shares_memory(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
#ifdef HAS_C10D
    return make_bool(env, current() != nullptr && current()->shared != nullptr);
#else
    return make_bool(env, false);
#endif
  });
}

// storeSet(key, text), storeGet(key) → text, or undefined where nobody has set it yet. Neither waits for another rank.
napi_value store_set(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
#ifdef HAS_C10D
    group("storeSet").store->set(read_string(env, call.values[0]), bytes_of(read_string(env, call.values[1])));
    return nullptr;
#else
    absent();
#endif
  });
}

napi_value store_get(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
#ifdef HAS_C10D
    const std::string key = read_string(env, call.values[0]);
    c10d::Store& store = *group("storeGet").store;
    if (!store.check({key})) return nullptr;
    return make_string(env, text_of(store.get(key)));
#else
    absent();
#endif
  });
}

}  // namespace

void register_distributed(napi_env env, napi_value exports, State* state) {
  std::string backends;
#ifdef HAS_C10D
  backends = "gloo";
#ifdef HAS_NCCL
  backends = "gloo,nccl";
#endif
#endif
  set_property(env, exports, "groupBackends", make_string(env, backends));
  define(env, exports, "joinGroup", join_group, state);
  define(env, exports, "leaveGroup", leave_group, state);
  define(env, exports, "sharesMemory", shares_memory, state);
  define(env, exports, "storeSet", store_set, state);
  define(env, exports, "storeGet", store_get, state);
}

}  // namespace binding
