// Convolutions with kernels of 3 × 3, stride 1 and padding 1 by Winograd's F(2×2, 3×3), for processors that multiply bfloat16 in vectors. What is
// rounded to it once more than in the usual way, after the transforms, makes the error of an output 1.4 times as large.
#pragma once

#include <ATen/core/Tensor.h>

namespace kernels {

// Whether it can be, under autocast to bfloat16.
bool takes_winograd_bf16(const at::Tensor& x, const at::Tensor& weight, const c10::optional<at::Tensor>& bias);

// x [B, C, H, W] in bfloat16, weight [K, C, 3, 3] and bias [K] or none in float32, as are their gradients → [B, K, H, W] in bfloat16.
at::Tensor winograd_bf16(const at::Tensor& x, const at::Tensor& weight, const c10::optional<at::Tensor>& bias);

}  // namespace kernels
