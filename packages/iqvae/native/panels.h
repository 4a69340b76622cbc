// Products by panels of weights, and what tensors must be for them.
#pragma once

#include "loops_panels_bf16.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <type_traits>
#include <vector>

namespace kernels {

// A weight in panels (see kPanel), and its bias or null.
template <typename T>
struct Product {
  const T* panels;
  const float* bias;
  int64_t inputs, outputs;

  int64_t count() const { return (outputs + kPanel - 1) / kPanel; }

  // Whether rows enter rounded to bfloat16, and not as they are.
  static constexpr bool rounds() { return std::is_same_v<T, Bf16>; }

  // Floats from a row that has entered to the next; two numbers of bfloat16 fit into one.
  int64_t stride() const { return !rounds() ? inputs : has_bf16_vectors() ? filled<T>(inputs) / 2 : filled<T>(inputs); }

  // Rows of x [·, inputs] as multiply_by takes them: themselves, or rounded in `room` [rows, stride], with zeros for what fills up.
  const float* enter(const float* x, int64_t rows, float* room) const {
    if constexpr (!rounds()) return x;
    for (int64_t r = 0; r < rows; ++r) {
      float* to = room + r * stride();
      if (inputs > 0) to[stride() - 1] = 0;
      round_row(x + r * inputs, inputs, to);
    }
    return room;
  }

  // Rows that have entered times panel p, then GELU if it is asked for, into its place of `out` [·, outputs].
  void multiply_by(int64_t p, const float* entered, int64_t rows, float* out, bool gelu) const {
    const int64_t first = p * kPanel, some = std::min(kPanel, outputs - first), all = filled<T>(inputs);
    multiply_entered(entered, panels + first * all, bias == nullptr ? nullptr : bias + first, rows, all, outputs, some, out + first);
    for (int64_t r = 0; gelu && r < rows; ++r) best<gelu_in_place>(out + r * outputs + first, some);
  }
};

inline bool is_flat(const at::Tensor& tensor, at::ScalarType type) {
  return tensor.is_cpu() && tensor.is_contiguous() && tensor.scalar_type() == type && !tensor.is_neg();
}

// The shape of a weight [outputs, inputs] in panels of so many inputs side by side.
inline std::vector<int64_t> shape_of_panels(int64_t together, int64_t inputs, int64_t outputs) {
  return {(outputs + kPanel - 1) / kPanel, kPanel / kHalf, (inputs + together - 1) / together, kHalf * together};
}

inline void check_panels(const char* op, const at::Tensor& panels, int64_t inputs, int64_t outputs, const char* what) {
  const std::vector<int64_t> shape = shape_of_panels(panels.scalar_type() == at::kBFloat16 ? kTogether<Bf16> : kTogether<float>, inputs, outputs);
  TORCH_CHECK(panels.sizes() == at::IntArrayRef(shape), op, " expects panels ", at::IntArrayRef(shape), " of a weight [", outputs, ", ", inputs,
              "] for ", what, ", but got ", panels.sizes());
}

}  // namespace kernels
