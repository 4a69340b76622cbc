// The loop of dropout, with a mask that is a hash of each element's number.
#pragma once

#include "simd.h"

namespace kernels {

// Two rounds of multiply and shift: each bit of the input changes each bit of the output about half the time.
KERNELS_INLINE uint32_t mix(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  x ^= x >> 16;
  return x;
}
KERNELS_INLINE float kept(uint32_t number, uint32_t key, uint32_t second, uint32_t threshold, float scale) {
  return mix(mix(number ^ key) + second) >= threshold ? scale : 0.0f;
}

// y = x · mask + residual, for the elements from `first` on.
template <typename X, typename Y, bool kAdd>
KERNELS_INLINE void apply_mask(const X* __restrict x, const Y* __restrict residual, Y* __restrict y, int64_t first, int64_t count, uint32_t key, uint32_t second,
                        uint32_t threshold, float scale) {
  const uint32_t start = static_cast<uint32_t>(first);
  for (int64_t i = 0; i < count; ++i) {
    const float value = load(x + i) * kept(start + static_cast<uint32_t>(i), key, second, threshold, scale);
    store(y + i, kAdd ? value + load(residual + i) : value);
  }
}

}  // namespace kernels
