// The loops of decoding one token at a time.
#pragma once

#include "loops_attention.h"

#include <cmath>

namespace kernels {

// scores[t] += Σ_d q[d]·keys[d][t]: keys lie with time innermost, so that lanes are moments and nothing is summed across.
template <typename T>
KERNELS_INLINE void add_scores(const float* q, const T* keys, int64_t stride, int64_t features, int64_t count, float* __restrict scores) {
  int64_t d = 0;
  for (; d + 4 <= features; d += 4) {
    const T *k0 = keys + d * stride, *k1 = k0 + stride, *k2 = k1 + stride, *k3 = k2 + stride;
    const float q0 = q[d], q1 = q[d + 1], q2 = q[d + 2], q3 = q[d + 3];
    for (int64_t t = 0; t < count; ++t) scores[t] += q0 * load(k0 + t) + q1 * load(k1 + t) + q2 * load(k2 + t) + q3 * load(k3 + t);
  }
  for (; d < features; ++d)
    for (int64_t t = 0; t < count; ++t) scores[t] += q[d] * load(keys + d * stride + t);
}

// out[d] += Σ_t weights[t]·values[t][d].
template <typename T>
KERNELS_INLINE void add_values(const float* weights, const T* values, int64_t features, int64_t count, float* __restrict out) {
  int64_t t = 0;
  for (; t + 4 <= count; t += 4) {
    const T *v0 = values + t * features, *v1 = v0 + features, *v2 = v1 + features, *v3 = v2 + features;
    const float w0 = weights[t], w1 = weights[t + 1], w2 = weights[t + 2], w3 = weights[t + 3];
    for (int64_t d = 0; d < features; ++d) out[d] += w0 * load(v0 + d) + w1 * load(v1 + d) + w2 * load(v2 + d) + w3 * load(v3 + d);
  }
  for (; t < count; ++t)
    for (int64_t d = 0; d < features; ++d) out[d] += weights[t] * load(values + t * features + d);
}

struct Sizes {
  int64_t heads, features, prefix, capacity, position;
};

// One head of one sequence: its new key and value enter the cache, then it attends to the prefix and to all its own.
template <typename T>
KERNELS_INLINE void attend_one(const float* qkv, const T* prefix_k, const T* prefix_v, T* own_k, T* own_v, float* __restrict out, Sizes s,
                             float* scores, float* q) {
  const int64_t D = s.features, own = s.position + 1, total = s.prefix + own, width = s.heads * D;
  for (int64_t d = 0; d < D; ++d) {
    store(own_k + d * s.capacity + s.position, qkv[width + d]);
    store(own_v + s.position * D + d, qkv[2 * width + d]);
  }
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  for (int64_t d = 0; d < D; ++d) q[d] = qkv[d] * scale;
  for (int64_t d = 0; d < D; ++d) out[d] = 0;
  for (int64_t t = 0; t < total; ++t) scores[t] = 0;
  add_scores(q, prefix_k, s.prefix, D, s.prefix, scores);
  add_scores(q, own_k, s.capacity, D, own, scores + s.prefix);
  causal_softmax(scores, total, total);
  add_values(scores, prefix_v, D, s.prefix, out);
  add_values(scores + s.prefix, own_v, D, own, out);
}

// x ← x + y, and the normalized sum.
KERNELS_INLINE void add_norm_row(float* __restrict x, const float* y, const float* gain, const float* offset, float* __restrict out,
                               int64_t width, float eps) {
  if (y != nullptr)
    for (int64_t i = 0; i < width; ++i) x[i] += y[i];
  float lanes[16] = {}, squares[16] = {};
  float sum = 0, square = 0;
  int64_t i = 0;
  for (; i + 16 <= width; i += 16)
    for (int k = 0; k < 16; ++k) lanes[k] += x[i + k];
  for (; i < width; ++i) sum += x[i];
  for (float lane : lanes) sum += lane;
  const float mean = sum / static_cast<float>(width);
  for (i = 0; i + 16 <= width; i += 16)
    for (int k = 0; k < 16; ++k) squares[k] += (x[i + k] - mean) * (x[i + k] - mean);
  for (; i < width; ++i) square += (x[i] - mean) * (x[i] - mean);
  for (float lane : squares) square += lane;
  const float scale = 1.0f / std::sqrt(square / static_cast<float>(width) + eps);
  for (i = 0; i < width; ++i) out[i] = (x[i] - mean) * scale * gain[i] + offset[i];
}

// Panels: kPanel outputs side by side, so that a product of few rows streams through the weights once, a vector of outputs
// at a time, and nothing is summed across lanes.
constexpr int64_t kPanel = 32;

// W outputs at once. No wider than the registers: GCC keeps wider vectors in memory.
template <int W>
struct Vector {
  typedef float Floats __attribute__((vector_size(4 * W)));
  typedef uint32_t Words __attribute__((vector_size(4 * W)));
  typedef uint16_t Halves __attribute__((vector_size(2 * W)));
};
template <int W>
KERNELS_INLINE void read_lanes(const float* p, typename Vector<W>::Floats& out) {
  std::memcpy(&out, p, sizeof(out));
}
template <int W>
KERNELS_INLINE void read_lanes(const Bf16* p, typename Vector<W>::Floats& out) {
  typename Vector<W>::Halves halves;
  std::memcpy(&halves, p, sizeof(halves));
  const typename Vector<W>::Words words = __builtin_convertvector(halves, typename Vector<W>::Words) << 16;
  std::memcpy(&out, &words, sizeof(out));
}

// R rows of x [·, inputs] times V·W outputs of one panel [inputs, kPanel].
template <int W, int V, int R, typename T>
KERNELS_INLINE void multiply_rows(const float* x, const T* panel, int64_t inputs, float* sums) {
  typename Vector<W>::Floats lanes[R][V] = {};
  for (int64_t i = 0; i < inputs; ++i) {
    __builtin_prefetch(panel + (inputs + i) * kPanel);  // of the next panel: the processor does not guess it
    for (int v = 0; v < V; ++v) {
      typename Vector<W>::Floats weights;
      read_lanes<W>(panel + i * kPanel + v * W, weights);
      for (int r = 0; r < R; ++r) lanes[r][v] += weights * x[r * inputs + i];
    }
  }
  for (int r = 0; r < R; ++r) std::memcpy(sums + r * kPanel, lanes[r], sizeof(lanes[r]));
}

// How many vectors of a panel R rows go through at a time: their sums must fit into the registers, beside weights and factors.
template <int W, int R>
constexpr int vectors_at_once() {
  constexpr int kSums = W == 16 ? 24 : 12;  // of 32 registers with AVX-512, of 16 without
  int vectors = kPanel / W;
  while (R * vectors > kSums) vectors /= 2;
  return vectors;
}

template <int W, int R, typename T>
KERNELS_INLINE void multiply_panel(const float* x, const T* panel, const float* bias, int64_t inputs, int64_t outputs, int64_t count, float* out) {
  constexpr int V = vectors_at_once<W, R>();
  float sums[R * kPanel];
  for (int64_t first = 0; first < kPanel; first += V * W) multiply_rows<W, V, R>(x, panel + first, inputs, sums + first);
  for (int r = 0; r < R; ++r)
    for (int64_t o = 0; o < count; ++o) out[r * outputs + o] = sums[r * kPanel + o] + (bias == nullptr ? 0.0f : bias[o]);
}

// All rows times one panel, up to `kMost` at a time. A row is summed in the same order, whichever of these it is in.
template <int W, int kMost, typename T>
KERNELS_INLINE void multiply_all(const float* x, const T* panel, const float* bias, int64_t rows, int64_t inputs, int64_t outputs, int64_t count,
                                 float* out) {
  constexpr int R = kMost;
  for (; rows >= R; rows -= R, x += R * inputs, out += R * outputs) multiply_panel<W, R>(x, panel, bias, inputs, outputs, count, out);
  if constexpr (R > 1) multiply_all<W, R == 8 ? 4 : R - 1>(x, panel, bias, rows, inputs, outputs, count, out);
}

template <typename T>
const auto multiply = best_of<multiply_all<16, 8, T>, multiply_all<8, 4, T>, multiply_all<4, 4, T>>;

// x·Φ(x), Φ from the error function by Abramowitz & Stegun 7.1.26: within 1.5e-7.
KERNELS_INLINE void gelu_in_place(float* __restrict values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float x = values[i], z = std::fabs(x) * 0.70710678118654752f;
    const float t = 1.0f / (1.0f + 0.3275911f * z);
    const float p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    const float tail = 0.5f * p * fast_exp(-z * z);  // 1 − Φ(|x|)
    values[i] = x * (x < 0.0f ? tail : 1.0f - tail);
  }
}

}  // namespace kernels
