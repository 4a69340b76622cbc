// The loops of attention, over one row of scores.
#pragma once

#include "simd.h"

namespace kernels {

// softmax of the first `count` scores; what lies after them, up to `width`, becomes 0.
KERNELS_INLINE void causal_softmax(float* __restrict scores, int64_t count, int64_t width) {
  float most = scores[0];
  for (int64_t t = 1; t < count; ++t) most = scores[t] > most ? scores[t] : most;
  for (int64_t t = 0; t < count; ++t) scores[t] = fast_exp(scores[t] - most);
  float lanes[16] = {};
  int64_t t = 0;
  for (; t + 16 <= count; t += 16)
    for (int k = 0; k < 16; ++k) lanes[k] += scores[t + k];
  float sum = 0;
  for (; t < count; ++t) sum += scores[t];
  for (float lane : lanes) sum += lane;
  const float scale = 1.0f / sum;
  for (t = 0; t < count; ++t) scores[t] *= scale;
  for (t = count; t < width; ++t) scores[t] = 0;
}

// The gradient of the scores from that of their softmax p, in place: p·(g − Σ p·g)·scale.
KERNELS_INLINE void softmax_gradient(const float* __restrict p, float* __restrict g, int64_t width, float scale) {
  float lanes[16] = {};
  int64_t t = 0;
  for (; t + 16 <= width; t += 16)
    for (int k = 0; k < 16; ++k) lanes[k] += p[t + k] * g[t + k];
  float sum = 0;
  for (; t < width; ++t) sum += p[t] * g[t];
  for (float lane : lanes) sum += lane;
  for (t = 0; t < width; ++t) g[t] = p[t] * (g[t] - sum) * scale;
}

}  // namespace kernels
