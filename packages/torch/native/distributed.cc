// Several processes as one group: c10d behind operators of our own, since its own have other signatures in each version of libtorch.
//
// The build defines HAS_C10D where the library that was found has c10d with Gloo, and HAS_NCCL where it has NCCL and its headers are there.
#include "history.h"
#include "state.h"

#include <torch/library.h>

#ifdef HAS_C10D
#define USE_C10D_GLOO
#ifdef HAS_NCCL
#define USE_C10D_NCCL
#endif

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scalar_tensor.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#ifdef HAS_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <cstdlib>
#include <mutex>
#endif

namespace {

using at::Tensor;

#ifdef HAS_C10D

#if TORCH_VERSION_MAJOR >= 2
using Backend = c10d::Backend;
#else
using Backend = c10d::ProcessGroup;
#endif
using Work = c10::intrusive_ptr<c10d::Work>;

struct Group {
  int64_t rank = 0, size = 1;
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<Backend> gloo, nccl;  // Gloo is for tensors on the CPU, and for all where there is no NCCL
};

// Of the process: threads of Node.js share it. Never destroyed by the C++ runtime, which would end libtorch's threads in any order.
Group*& current() {
  static Group* group = nullptr;
  return group;
}

Group& group(const char* op) {
  TORCH_CHECK(current() != nullptr, op, " needs a group of processes: call initProcessGroup() first");
  return *current();
}

Backend& backend_of(Group& group, const Tensor& tensor) { return group.nccl && tensor.is_cuda() ? *group.nccl : *group.gloo; }

std::shared_ptr<::gloo::transport::Device> gloo_device(const std::string& host) {
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr && *interface != '\0') return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  return host.empty() ? c10d::ProcessGroupGloo::createDefaultDevice() : c10d::ProcessGroupGloo::createDeviceForHostname(host);
}

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

void check_arguments(const char* op, at::TensorList tensors, bool written) {
  for (const Tensor& tensor : tensors) {
    TORCH_CHECK(tensor.layout() == at::kStrided, op, " expects dense tensors, but got the layout ", tensor.layout());
    if (written) kernels::check_writable(op, tensor);
  }
  if (!written) kernels::check_constant(op, tensors);
}

// Its memory as one row in the order of its indices: the tensor's own where it can be, else a copy.
Tensor as_row(const Tensor& tensor) {
  const Tensor row = tensor.detach().contiguous();
  return row.scalar_type() == at::kBool ? row.view(at::kByte) : row;
}

// Runs `start` on the row of each tensor, waits for all, and writes back what was a copy.
template <typename Start>
void in_place(const char* op, at::TensorList tensors, Start&& start) {
  check_arguments(op, tensors, true);
  at::NoGradGuard no_grad;
  Group& all = group(op);
  std::vector<std::vector<Tensor>> rows;
  std::vector<Work> works;
  for (const Tensor& tensor : tensors) rows.push_back({as_row(tensor)});
  for (std::vector<Tensor>& row : rows)
    if (row[0].numel() > 0) works.push_back(start(backend_of(all, row[0]), row));
  finish(works);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (tensors[i].is_alias_of(rows[i][0]))
      kernels::note_change(tensors[i]);
    else
      tensors[i].copy_(rows[i][0].view_as(tensors[i]));
  }
}

c10d::ReduceOp reduction(c10::string_view name) {
  if (name == "sum") return c10d::ReduceOp::SUM;
  if (name == "min") return c10d::ReduceOp::MIN;
  if (name == "max") return c10d::ReduceOp::MAX;
  TORCH_CHECK(false, "all_reduce_ knows sum, min and max, but got ", std::string(name));
}

void all_reduce(at::TensorList tensors, c10::string_view op) {
  c10d::AllreduceOptions options;
  options.reduceOp = reduction(op);
  in_place("all_reduce_", tensors, [&](Backend& backend, std::vector<Tensor>& row) { return backend.allreduce(row, options); });
}

void broadcast(at::TensorList tensors, int64_t root) {
  TORCH_CHECK(root >= 0 && root < group("broadcast_").size, "broadcast_ expects a rank below ", current()->size, ", but got ", root);
  c10d::BroadcastOptions options;
  options.rootRank = root;
  in_place("broadcast_", tensors, [&](Backend& backend, std::vector<Tensor>& row) { return backend.broadcast(row, options); });
}

std::vector<Tensor> all_gather(const Tensor& tensor) {
  check_arguments("all_gather", {tensor}, false);
  at::NoGradGuard no_grad;
  Group& all = group("all_gather");
  std::vector<Tensor> inputs = {as_row(tensor)};
  std::vector<std::vector<Tensor>> outputs(1);
  for (int64_t i = 0; i < all.size; ++i) outputs[0].push_back(at::empty(inputs[0].sizes(), inputs[0].options()));
  if (tensor.numel() > 0) {
    std::vector<Work> works = {backend_of(all, tensor).allgather(outputs, inputs)};
    finish(works);
  }
  if (tensor.scalar_type() == at::kBool)
    for (Tensor& output : outputs[0]) output = output.view(at::kBool);
  return outputs[0];
}

// Its memory as one row, in whatever order it lies: all that needs to agree is that order, see `signature`.
Tensor as_laid(const Tensor& tensor) {
  if (!tensor.is_non_overlapping_and_dense()) return tensor.reshape({-1});
  return tensor.detach().as_strided({tensor.numel()}, {1});
}

// Of sizes and memory layouts, from 1 to 8191: a thousand times that is still a whole number in float32.
double signature(at::TensorList tensors) {
  uint64_t hash = 14695981039346656037u;
  const auto mix = [&hash](int64_t value) { hash = (hash ^ static_cast<uint64_t>(value)) * 1099511628211u; };
  for (const Tensor& tensor : tensors)
    for (const auto& values : {tensor.sizes(), tensor.strides()})
      for (const int64_t value : values) mix(value);
  return static_cast<double>(hash % 8191 + 1);
}

void all_reduce_flat(at::TensorList tensors, double scale) {
  constexpr const char* kOp = "all_reduce_flat_";
  check_arguments(kOp, tensors, true);
  kernels::check_one_device(kOp, tensors);
  for (const Tensor& tensor : tensors)
    TORCH_CHECK(tensor.scalar_type() == at::kFloat, kOp, " expects float32 tensors, but got ", tensor.scalar_type());
  if (tensors.empty()) return;
  at::NoGradGuard no_grad;
  Group& all = group(kOp);
  std::vector<Tensor> rows;
  for (const Tensor& tensor : tensors) rows.push_back(as_laid(tensor));
  const double own = signature(tensors);
  rows.push_back(at::scalar_tensor(own, tensors[0].options()).reshape({1}));
  std::vector<Tensor> buffer = {at::cat(rows)};
  std::vector<Work> works = {backend_of(all, buffer[0]).allreduce(buffer)};
  finish(works);
  if (buffer[0].is_cpu()) {
    const double sum = buffer[0].data_ptr<float>()[buffer[0].numel() - 1];
    TORCH_CHECK(sum == own * all.size, kOp, " got tensors of other sizes or memory layouts on other ranks; all must pass the same list");
  }
  if (scale != 1) buffer[0].mul_(scale);
  int64_t begin = 0;
  for (const Tensor& tensor : tensors) {
    const Tensor part = buffer[0].narrow(0, begin, tensor.numel());
    if (tensor.is_non_overlapping_and_dense())
      as_laid(tensor).copy_(part);
    else
      tensor.copy_(part.view(tensor.sizes()));
    begin += tensor.numel();
  }
}

void barrier() {
  std::vector<Work> works = {group("barrier").gloo->barrier()};
  finish(works);
}

void leave() {
  delete current();
  current() = nullptr;
}

#else

[[noreturn]] void absent() {
  TORCH_CHECK(false, "this libtorch has no c10d with Gloo, so it cannot compute in several processes: use one process, or another libtorch "
                     "(Debian's libtorch-dev and PyTorch's own wheels have it)");
}

void all_reduce(at::TensorList, c10::string_view) { absent(); }
void broadcast(at::TensorList, int64_t) { absent(); }
std::vector<Tensor> all_gather(const Tensor&) { absent(); }
void all_reduce_flat(at::TensorList, double) { absent(); }
void barrier() { absent(); }
void leave() {}

#endif

}  // namespace

TORCH_LIBRARY_FRAGMENT(group, m) {
  m.def("all_reduce_(Tensor(a!)[] tensors, str op) -> ()", all_reduce);
  m.def("all_reduce_flat_(Tensor(a!)[] tensors, float scale) -> ()", all_reduce_flat);
  m.def("broadcast_(Tensor(a!)[] tensors, int root) -> ()", broadcast);
  m.def("all_gather(Tensor tensor) -> Tensor[]", all_gather);
  m.def("barrier() -> ()", barrier);
}

namespace binding {
namespace {

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
      TORCH_CHECK(false, "the addon was built without NCCL: it needs a libtorch with CUDA, and the headers nccl.h and crt/host_config.h "
                         "(pip install nvidia-nccl-cu13 nvidia-cuda-crt, or a CUDA toolkit), then npm run setup");
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
    leave();
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
