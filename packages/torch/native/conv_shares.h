// Convolutions in bfloat16 whose weights learn. Forward they are libtorch's. Backward, oneDNN's threads add up their gradients of the
// weights behind a barrier in generated code, which spins without end: beside other work a training becomes many times slower.
// Here each thread takes a share of the images as a convolution of its own, and OpenMP, which knows when to sleep, waits for them.
#pragma once

#include "parallel.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/version.h>

#include <algorithm>
#include <array>
#include <exception>
#include <tuple>
#include <utility>
#include <vector>

namespace kernels {

// Gradients that can be differentiated, by libtorch: dx in the dtype of x, dw and db in float32. What libtorch 1.13 takes for the
// derivative of a dw in bfloat16 is wrong, so all is in float32 here.
inline std::tuple<at::Tensor, at::Tensor, at::Tensor> back_with_history(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                                                                        at::IntArrayRef stride, at::IntArrayRef padding,
                                                                        std::array<bool, 3> wanted) {
  const int64_t outputs[] = {weight.size(0)};
  auto all = at::convolution_backward(dy.to(at::kFloat), x.to(at::kFloat), weight.to(at::kFloat), at::IntArrayRef(outputs), stride, padding, {1, 1},
                                      false, {0, 0}, 1, wanted);
  if (wanted[0]) std::get<0>(all) = std::get<0>(all).to(x.scalar_type());
  return all;
}

// What autocast rounds to on the processor.
inline at::ScalarType autocast_type() {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  return at::autocast::get_autocast_dtype(c10::DeviceType::CPU);
#else
  return at::autocast::get_autocast_cpu_dtype();
#endif
}

struct ConvolutionByShares : torch::autograd::Function<ConvolutionByShares> {
  // x in bfloat16; weight and bias in float32, as are their gradients: the sum over shares loses no digits.
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const c10::optional<at::Tensor>& bias, at::IntArrayRef stride, at::IntArrayRef padding) {
    const at::Tensor rounded = weight.to(at::kBFloat16);
    const bool has_bias = bias && bias->defined();
    context->save_for_backward({x, weight, rounded});
    context->saved_data["has_bias"] = has_bias;
    context->saved_data["stride"] = stride.vec();
    context->saved_data["padding"] = padding.vec();
    return at::conv2d(x, rounded, has_bias ? bias->to(at::kBFloat16) : at::Tensor(), stride, padding);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context, torch::autograd::tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &dy = gradients[0];
    const auto stride = context->saved_data["stride"].toIntVector(), padding = context->saved_data["padding"].toIntVector();
    const bool to_bias = context->saved_data["has_bias"].toBool() && context->needs_input_grad(2);
    const bool to_x = context->needs_input_grad(0), to_weight = context->needs_input_grad(1);
    at::Tensor dx, dw, db;
    if (at::GradMode::is_enabled()) {  // for a second derivative
      std::tie(dx, dw, db) = back_with_history(dy, x, weight, stride, padding, {to_x, to_weight, to_bias});
    } else {
      const Pass pass{dy, x, saved[2], stride, padding};
      if (to_x) dx = std::get<0>(back(pass, {true, false, false}));
      if (to_weight || to_bias) std::tie(dw, db) = by_shares(pass);
    }
    return {dx, to_weight ? dw : at::Tensor(), to_bias ? db : at::Tensor(), at::Tensor(), at::Tensor()};
  }

 private:
  struct Pass {
    const at::Tensor &dy, &x, weight;
    at::IntArrayRef stride, padding;
  };

  static std::tuple<at::Tensor, at::Tensor, at::Tensor> back(const Pass& pass, std::array<bool, 3> wanted) {
    const int64_t outputs[] = {pass.weight.size(0)};
    return at::convolution_backward(pass.dy, pass.x, pass.weight, at::IntArrayRef(outputs), pass.stride, pass.padding, {1, 1}, false, {0, 0}, 1, wanted);
  }

  // The gradients of weights and bias, in float32.
  static std::pair<at::Tensor, at::Tensor> by_shares(const Pass& pass) {
    const int64_t images = pass.x.size(0), shares = std::min<int64_t>(at::get_num_threads(), images);
    std::vector<at::Tensor> dw(shares), db(shares);
    std::vector<std::exception_ptr> errors(shares);
    parallel_for(0, shares, 1, [&](int64_t begin, int64_t end) {
      const SingleThread single;
      const at::AutoDispatchBelowAutograd below;
      for (int64_t share = begin; share < end; ++share) {
        const int64_t first = images * share / shares, count = images * (share + 1) / shares - first;
        try {
          const at::Tensor dy = pass.dy.narrow(0, first, count), x = pass.x.narrow(0, first, count);
          std::tie(std::ignore, dw[share], db[share]) = back({dy, x, pass.weight, pass.stride, pass.padding}, {false, true, true});
        } catch (...) {
          errors[share] = std::current_exception();
        }
      }
    });
    for (const auto& error : errors)
      if (error) std::rethrow_exception(error);
    return {sum(dw), sum(db)};
  }

  static at::Tensor sum(const std::vector<at::Tensor>& shares) {
    at::Tensor sum = shares[0].to(at::kFloat);
    for (size_t share = 1; share < shares.size(); ++share) sum.add_(shares[share]);
    return sum;
  }
};

}  // namespace kernels
