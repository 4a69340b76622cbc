// What an operator of libtorch gets from generated code, and one of ours has to do itself: leave no wrong gradients behind.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/MemoryOverlap.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

namespace kernels {

// For operators without a backward pass, whose result would silently be a constant.
inline void check_constant(const char* op, at::ArrayRef<at::Tensor> tensors) {
  if (!c10::GradMode::is_enabled()) return;
  for (const at::Tensor& tensor : tensors)
    TORCH_CHECK(!tensor.defined() || !tensor.requires_grad(), op, " has no backward pass, but an argument requires a gradient: call it within noGrad, or detach() it");
}

// For operators that write into `written`, from which `read` must not be changed half-way.
inline void check_writable(const char* op, const at::Tensor& written, at::ArrayRef<at::Tensor> read = {}) {
  TORCH_CHECK(!c10::GradMode::is_enabled() || !written.requires_grad(), op,
              " changes a tensor that requires a gradient in place, which cannot be undone by a backward pass: call it within noGrad");
  TORCH_CHECK(!written.is_inference() || c10::InferenceMode::is_enabled(), op,
              " changes a tensor of inferenceMode in place outside of that mode: clone() it");
  TORCH_CHECK(written.layout() == at::kStrided, op, " changes a tensor in place, which must be dense, but got the layout ", written.layout());
  at::assert_no_internal_overlap(written);
  for (const at::Tensor& other : read)
    if (other.defined() && other.layout() == at::kStrided) at::assert_no_partial_overlap(written, other);
}

// Lets autograd notice a write that went past it: a backward pass that still needs the old values must fail, not mislead.
inline void note_change(const at::Tensor& written) {
  if (!written.is_inference()) written.unsafeGetTensorImpl()->bump_version();
}

// A kernel that reads memory by its address finds nothing on another device.
inline void check_one_device(const char* op, at::ArrayRef<at::Tensor> tensors) {
  for (const at::Tensor& tensor : tensors)
    TORCH_CHECK(!tensor.defined() || tensor.device() == tensors[0].device(), op, " expects all tensors on one device, but got ",
                tensors[0].device(), " and ", tensor.device());
}

// None where it is absent.
inline at::Tensor or_none(const c10::optional<at::Tensor>& tensor) { return tensor ? *tensor : at::Tensor(); }

}  // namespace kernels
