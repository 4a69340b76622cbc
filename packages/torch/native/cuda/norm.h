// Group normalization with an optional SiLU on CUDA devices, without CUDA's headers.
#pragma once

#include <ATen/core/Tensor.h>

namespace cuda_kernels {

// Whether there are kernels for `x`, of float32 or bfloat16.
bool can_normalize(const at::Tensor& x);

// Into y of x's type, and mean and rstd [B, groups]. Images are `channels_last`; all else is contiguous and float32.
void normalize(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps, bool silu, const at::Tensor& y,
               const at::Tensor& mean, const at::Tensor& rstd);

// Into dx, and the gradients of weight and bias by image [B, C].
void normalize_backward(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean,
                        const at::Tensor& rstd, bool silu, const at::Tensor& dx, const at::Tensor& dgamma, const at::Tensor& dbeta);

}  // namespace cuda_kernels
