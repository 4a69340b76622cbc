// Collectives as operators of our own, since c10d's have other signatures in each version of libtorch.
#include "distributed/group.h"
#include "distributed/shared.h"
#include "history.h"

#include <torch/library.h>

#ifdef HAS_C10D
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scalar_tensor.h>
#endif

namespace {

using at::Tensor;
using namespace distributed;

#ifdef HAS_C10D

void check_arguments(const char* op, at::TensorList tensors, bool written) {
  // The threads of c10d are not in it, and may not write to what is made in it.
  TORCH_CHECK(!c10::InferenceMode::is_enabled(), op, " cannot exchange tensors in inferenceMode: call it outside, or use noGrad");
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

// Runs `start` on the row of each tensor, waits for what that returns, if anything, and writes back what was a copy.
template <typename Start>
void in_place(const char* op, at::TensorList tensors, Start&& start) {
  check_arguments(op, tensors, true);
  at::NoGradGuard no_grad;
  Group& all = group(op);
  std::vector<std::vector<Tensor>> rows;
  std::vector<Work> works;
  for (const Tensor& tensor : tensors) rows.push_back({as_row(tensor)});
  for (std::vector<Tensor>& row : rows)
    if (row[0].numel() > 0)
      if (Work work = start(backend_of(all, row[0]), row)) works.push_back(std::move(work));
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

// Adds up a row of float32 values in memory that all ranks see. Returns false where there is none, and where it is none of those.
bool sum_shared(const char* op, const Tensor& row, uint64_t signature) {
  const auto& shared = group(op).shared;
  if (shared == nullptr || !row.is_cpu() || row.scalar_type() != at::kFloat) return false;
  if (!shared->sum(row.data_ptr<float>(), row.numel(), signature)) are_unlike(op);
  return true;
}

void all_reduce(at::TensorList tensors, c10::string_view op) {
  constexpr const char* kOp = "all_reduce_";
  c10d::AllreduceOptions options;
  options.reduceOp = reduction(op);
  in_place(kOp, tensors, [&](Backend& backend, std::vector<Tensor>& row) {
    const bool done = op == "sum" && sum_shared(kOp, row[0], row[0].numel());
    return done ? Work() : backend.allreduce(row, options);
  });
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

// Its memory as one row, in whatever order it lies: all that needs to agree is that order, see Signature.
Tensor as_laid(const Tensor& tensor) {
  if (!tensor.is_non_overlapping_and_dense()) return tensor.reshape({-1});
  return tensor.detach().as_strided({tensor.numel()}, {1});
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
  Signature signature;
  for (const Tensor& tensor : tensors) {
    rows.push_back(as_laid(tensor));
    signature.mix(tensor);
  }
  const double own = signature.value();
  rows.push_back(at::scalar_tensor(own, tensors[0].options()).reshape({1}));
  std::vector<Tensor> buffer = {at::cat(rows)};
  if (!sum_shared(kOp, buffer[0], signature.hash())) {
    std::vector<Work> works = {backend_of(all, buffer[0]).allreduce(buffer)};
    finish(works);
    check_signature(kOp, buffer[0].select(0, buffer[0].numel() - 1), own);
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
  Group& all = group("barrier");
  if (all.shared != nullptr) {
    all.shared->meet();
    return;
  }
  std::vector<Work> works = {all.gloo->barrier()};
  finish(works);
}

#else

void all_reduce(at::TensorList, c10::string_view) { absent(); }
void broadcast(at::TensorList, int64_t) { absent(); }
std::vector<Tensor> all_gather(const Tensor&) { absent(); }
void all_reduce_flat(at::TensorList, double) { absent(); }
void barrier() { absent(); }

#endif

}  // namespace

TORCH_LIBRARY_FRAGMENT(group, m) {
  m.def("all_reduce_(Tensor(a!)[] tensors, str op) -> ()", all_reduce);
  m.def("all_reduce_flat_(Tensor(a!)[] tensors, float scale) -> ()", all_reduce_flat);
  m.def("broadcast_(Tensor(a!)[] tensors, int root) -> ()", broadcast);
  m.def("all_gather(Tensor tensor) -> Tensor[]", all_gather);
  m.def("barrier() -> ()", barrier);
}
