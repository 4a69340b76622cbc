// The loops of group normalization with SiLU, over the rows [H·W, channels] of one image in `channels_last`.
#pragma once

#include "simd.h"

namespace kernels {

// Sums of d and d² by channel, where d = x − shift. Blocks of rows add up in float32, blocks in double. The shift is some value
// of the channel: without it, a mean much larger than the deviation would cancel all digits of the variance.
template <typename T>
KERNELS_INLINE void channel_sums(const T* __restrict x, int64_t rows, int64_t channels, const float* __restrict shift, float* __restrict sum,
                               float* __restrict square) {
  for (int64_t c = 0; c < channels; ++c) sum[c] = square[c] = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const T* __restrict row = x + r * channels;
    for (int64_t c = 0; c < channels; ++c) {
      const float value = load(row + c) - shift[c];
      sum[c] += value;
      square[c] += value * value;
    }
  }
}

// y = f(x·a + b) with a, b by channel; f is SiLU or the identity.
template <typename T>
KERNELS_INLINE void affine(const T* __restrict x, T* __restrict y, int64_t rows, int64_t channels, const float* __restrict a, const float* __restrict b, bool silu) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* __restrict in = x + r * channels;
    T* __restrict out = y + r * channels;
    if (silu) {
      for (int64_t c = 0; c < channels; ++c) {
        const float z = load(in + c) * a[c] + b[c];
        store(out + c, z / (1.0f + fast_exp(-z)));
      }
    } else {
      for (int64_t c = 0; c < channels; ++c) store(out + c, load(in + c) * a[c] + b[c]);
    }
  }
}

// The gradient at z = x·a + b (kept in `dz`), and its sums by channel, plain and times x − mean.
template <bool kSilu, typename T>
KERNELS_INLINE void gradient_sums(const T* __restrict x, const T* __restrict dy, float* __restrict dz, int64_t rows, int64_t channels,
                                const float* __restrict a, const float* __restrict b, const float* __restrict mean,
                                float* __restrict sum, float* __restrict product) {
  for (int64_t c = 0; c < channels; ++c) sum[c] = product[c] = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const T* __restrict in = x + r * channels;
    const T* __restrict out = dy + r * channels;
    float* __restrict kept = dz + r * channels;
    for (int64_t c = 0; c < channels; ++c) {
      const float value = load(in + c);
      float gradient = load(out + c);
      if (kSilu) {
        const float z = value * a[c] + b[c];
        const float sigmoid = 1.0f / (1.0f + fast_exp(-z));
        gradient *= sigmoid * (1.0f + z * (1.0f - sigmoid));
      }
      kept[c] = gradient;
      sum[c] += gradient;
      product[c] += gradient * (value - mean[c]);
    }
  }
}

// dx = dz·p + x·q + s by channel.
template <typename T>
KERNELS_INLINE void input_gradient(const T* __restrict x, const float* __restrict dz, T* __restrict dx, int64_t rows, int64_t channels, const float* __restrict p, const float* __restrict q,
                                 const float* __restrict s) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t i = r * channels + c;
      store(dx + i, dz[i] * p[c] + load(x + i) * q[c] + s[c]);
    }
}

}  // namespace kernels
