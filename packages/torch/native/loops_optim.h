// The loops of the optimizer, each over one piece of memory.
#pragma once

#include "simd.h"

#include <cmath>

namespace kernels {

// Differences from one are taken in double, as PyTorch does: in float32, 1 − 0.999 is 1.3e-5 off.
struct AdamSettings {
  float scale, beta1, rest1, beta2, rest2, eps, decay, step_size, correction2;
};

KERNELS_INLINE void adamw_range(float* __restrict p, const float* __restrict g, float* __restrict m, float* __restrict v, int64_t count,
                                AdamSettings s) {
  for (int64_t i = 0; i < count; ++i) {
    const float gradient = g[i] * s.scale;
    const float first = s.beta1 * m[i] + s.rest1 * gradient;
    const float second = s.beta2 * v[i] + s.rest2 * gradient * gradient;
    m[i] = first;
    v[i] = second;
    p[i] = p[i] * s.decay - s.step_size * first / (std::sqrt(second) / s.correction2 + s.eps);
  }
}

KERNELS_INLINE void lerp_range(float* __restrict a, const float* __restrict b, int64_t count, float weight) {
  for (int64_t i = 0; i < count; ++i) a[i] += weight * (b[i] - a[i]);
}

// The sum over a block stays in float32, as 16 lanes that the compiler keeps in one register; blocks add up in double.
KERNELS_INLINE float squares_of_block(const float* values, int64_t count) {
  float lanes[16] = {};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int k = 0; k < 16; ++k) lanes[k] += values[i + k] * values[i + k];
  float sum = 0;
  for (; i < count; ++i) sum += values[i] * values[i];
  for (float lane : lanes) sum += lane;
  return sum;
}

}  // namespace kernels
