// Products by panels of weights, and what tensors must be for them.
#pragma once

#include "loops_panels.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

namespace kernels {

// A weight in panels (see kPanel), and its bias or null.
template <typename T>
struct Product {
  const T* panels;
  const float* bias;
  int64_t inputs, outputs;

  int64_t count() const { return (outputs + kPanel - 1) / kPanel; }

  // Rows [·, inputs] times panel p, then GELU if it is asked for, into its place of `out` [·, outputs].
  void multiply_by(int64_t p, const float* x, int64_t rows, float* out, bool gelu) const {
    const int64_t first = p * kPanel, some = std::min(kPanel, outputs - first);
    multiply<T>(x, panels + first * inputs, bias == nullptr ? nullptr : bias + first, rows, inputs, outputs, some, out + first);
    for (int64_t r = 0; gelu && r < rows; ++r) best<gelu_in_place>(out + r * outputs + first, some);
  }
};

inline bool is_flat(const at::Tensor& tensor, at::ScalarType type) {
  return tensor.is_cpu() && tensor.is_contiguous() && tensor.scalar_type() == type && !tensor.is_neg();
}

inline void check_panels(const char* op, const at::Tensor& panels, int64_t inputs, int64_t outputs, const char* what) {
  TORCH_CHECK(panels.dim() == 4 && panels.size(0) == (outputs + kPanel - 1) / kPanel && panels.size(1) == kPanel / kHalf &&
                  panels.size(2) == inputs && panels.size(3) == kHalf,
              op, " expects panels [ceil(", outputs, "/32), 2, ", inputs, ", 16] for ", what, ", but got ", panels.sizes());
}

}  // namespace kernels
