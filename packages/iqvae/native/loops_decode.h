// The loops of decoding one token at a time.
#pragma once

#include "loops_attention.h"
#include "loops_panels.h"

#include <cmath>

namespace kernels {

// Keys lie in blocks of kKeys moments, [⌈T/kKeys⌉, features, kKeys]: memory is read from its beginning to its end, which is what the
// processor fetches ahead, lanes are moments, and nothing is summed across them.
constexpr int64_t kKeys = 32;

// Asks for what comes a page after `rows` rows of a cache that are being read: the processor itself stops at the end of a page, and what
// lies much farther is another head's. `v` is the vector's number, and a line has more than one where they are narrow.
template <int W, int kRows, typename T>
KERNELS_INLINE void fetch_lines(const T* at, int64_t stride, int v) {
  constexpr int64_t kPage = 4096;
  if (v * W % 16 != 0) return;
  for (int r = 0; r < kRows; ++r) __builtin_prefetch(reinterpret_cast<const char*>(at + r * stride) + kPage, 0, 1);
}

// scores[t] = Σ_d q[d]·keys[d][t], for whole blocks: what lies after `count` means nothing.
template <int W, typename T>
KERNELS_INLINE void score_keys(const float* q, const T* keys, int64_t features, int64_t count, float* scores) {
  typedef typename Vector<W>::Floats Floats;
  constexpr int kVectors = kKeys / W;
  for (int64_t first = 0; first < count; first += kKeys, keys += features * kKeys) {
    Floats sums[kVectors] = {};
    int64_t d = 0;
    for (; d + 4 <= features; d += 4)
      for (int v = 0; v < kVectors; ++v) {
        const T* at = keys + d * kKeys + v * W;
        fetch_lines<W, 4>(at, kKeys, v);
        Floats a, b, c, e;
        read_lanes<W>(at, a);
        read_lanes<W>(at + kKeys, b);
        read_lanes<W>(at + 2 * kKeys, c);
        read_lanes<W>(at + 3 * kKeys, e);
        sums[v] += q[d] * a + q[d + 1] * b + q[d + 2] * c + q[d + 3] * e;
      }
    for (; d < features; ++d)
      for (int v = 0; v < kVectors; ++v) {
        Floats a;
        read_lanes<W>(keys + d * kKeys + v * W, a);
        sums[v] += q[d] * a;
      }
    std::memcpy(scores + first, sums, sizeof(sums));
  }
}

// out[d] += Σ_t weights[t]·values[t][d] for V·W features, whose sums stay in registers.
template <int W, int V, typename T>
KERNELS_INLINE void mix_strip(const float* weights, const T* values, int64_t features, int64_t count, float* out) {
  typedef typename Vector<W>::Floats Floats;
  Floats sums[V];
  std::memcpy(sums, out, sizeof(sums));
  int64_t t = 0;
  for (; t + 4 <= count; t += 4)
    for (int v = 0; v < V; ++v) {
      const T* at = values + t * features + v * W;
      fetch_lines<W, 4>(at, features, v);
      Floats a, b, c, e;
      read_lanes<W>(at, a);
      read_lanes<W>(at + features, b);
      read_lanes<W>(at + 2 * features, c);
      read_lanes<W>(at + 3 * features, e);
      sums[v] += weights[t] * a + weights[t + 1] * b + weights[t + 2] * c + weights[t + 3] * e;
    }
  for (; t < count; ++t)
    for (int v = 0; v < V; ++v) {
      Floats a;
      read_lanes<W>(values + t * features + v * W, a);
      sums[v] += weights[t] * a;
    }
  std::memcpy(out, sums, sizeof(sums));
}

// The same for any number of features, as many at once as there are registers for.
template <int W, typename T>
KERNELS_INLINE void mix_values(const float* weights, const T* values, int64_t features, int64_t count, float* out) {
  int64_t d = 0;
  for (; d + 8 * W <= features; d += 8 * W) mix_strip<W, 8>(weights, values + d, features, count, out + d);
  for (; d + 4 * W <= features; d += 4 * W) mix_strip<W, 4>(weights, values + d, features, count, out + d);
  for (; d + W <= features; d += W) mix_strip<W, 1>(weights, values + d, features, count, out + d);
  for (; d < features; ++d)
    for (int64_t t = 0; t < count; ++t) out[d] += weights[t] * load(values + t * features + d);
}

struct Sizes {
  int64_t heads, features, prefix, capacity, position;
  // Elements of a head's keys.
  int64_t room_of_keys(int64_t moments) const { return (moments + kKeys - 1) / kKeys * features * kKeys; }
};

// One head of one sequence: its new key and value enter the cache, then it attends to the prefix and to all its own.
template <int W, typename T>
KERNELS_INLINE void attend_one(const float* qkv, const T* prefix_k, const T* prefix_v, T* own_k, T* own_v, float* __restrict out, Sizes s,
                             float* scores, float* q) {
  const int64_t D = s.features, own = s.position + 1, total = s.prefix + own, width = s.heads * D;
  T* newest = own_k + s.position / kKeys * D * kKeys + s.position % kKeys;
  for (int64_t d = 0; d < D; ++d) {
    store(newest + d * kKeys, qkv[width + d]);
    store(own_v + s.position * D + d, qkv[2 * width + d]);
  }
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  for (int64_t d = 0; d < D; ++d) q[d] = qkv[d] * scale;
  for (int64_t d = 0; d < D; ++d) out[d] = 0;
  score_keys<W>(q, prefix_k, D, s.prefix, scores);
  score_keys<W>(q, own_k, D, own, scores + s.prefix);
  causal_softmax(scores, total, total);
  mix_values<W>(scores, prefix_v, D, s.prefix, out);
  mix_values<W>(scores + s.prefix, own_v, D, own, out);
}

template <typename T>
const auto attend = best_of<attend_one<16, T>, attend_one<8, T>, attend_one<4, T>>;

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

}  // namespace kernels
