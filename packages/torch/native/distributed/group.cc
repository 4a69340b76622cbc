// Several processes as one group, by c10d: joining it, leaving it, and its store.
//
// The build defines HAS_C10D where the library that was found has c10d with Gloo, and HAS_NCCL where it has NCCL and its headers are there.
#include "distributed/group.h"
#include "state.h"

#include <chrono>
#include <cstdlib>

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

void check_signature(const char* op, const at::Tensor& sum, double own) {
  if (!sum.is_cpu()) return;
  TORCH_CHECK(*sum.data_ptr<float>() == own * group(op).size, op,
              " got tensors of other sizes or memory layouts on other ranks; all must pass the same list");
}

#endif

}  // namespace distributed

namespace binding {
namespace {

using namespace distributed;

#ifdef HAS_C10D

std::shared_ptr<::gloo::transport::Device> gloo_device(const std::string& host) {
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr && *interface != '\0') return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  return host.empty() ? c10d::ProcessGroupGloo::createDefaultDevice() : c10d::ProcessGroupGloo::createDeviceForHostname(host);
}

#endif

// joinGroup(address, port, rank, size, prefix, timeout in ms, host, nccl): blocks until all ranks are there. Rank 0 hosts the store.
// `host` names the network that Gloo listens on; empty is that of this machine's name.
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
    options.numWorkers = made->size;
    options.timeout = timeout;
    made->store = c10::make_intrusive<c10d::PrefixStore>(prefix, c10::make_intrusive<c10d::TCPStore>(address, options));
    auto gloo = c10d::ProcessGroupGloo::Options::create(timeout);
    gloo->threads = 1;  // whoever calls waits
    gloo->devices.push_back(gloo_device(read_string(env, call.values[6])));
    made->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", made->store), made->rank, made->size, gloo);
    if (read_bool(env, call.values[7], "whether to use NCCL")) {
#ifdef HAS_NCCL
      auto nccl = c10d::ProcessGroupNCCL::Options::create();
      nccl->timeout = timeout;
      made->nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::PrefixStore>("nccl", made->store), made->rank, made->size, nccl);
#else
      TORCH_CHECK(false, "the addon was built without NCCL: it needs a libtorch with CUDA, and the headers nccl.h, crt/host_config.h and nv/target "
                         "(pip install nvidia-nccl-cu13 nvidia-cuda-crt nvidia-cuda-cccl, or a CUDA toolkit), then npm run setup");
#endif
    }
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

// storeSet(key, text), storeGet(key) → text, or undefined where nobody has set it yet. Neither waits for another rank.
napi_value store_set(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
#ifdef HAS_C10D
    const std::string text = read_string(env, call.values[1]);
    group("storeSet").store->set(read_string(env, call.values[0]), std::vector<uint8_t>(text.begin(), text.end()));
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
    const std::vector<uint8_t> found = store.get(key);
    return make_string(env, std::string(found.begin(), found.end()));
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
  define(env, exports, "storeSet", store_set, state);
  define(env, exports, "storeGet", store_get, state);
}

}  // namespace binding
