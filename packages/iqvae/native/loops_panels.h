// The loops of products of few rows.
#pragma once

#include "simd.h"

#include <cmath>

namespace kernels {

// A weight [O, I] lies in panels of kPanel outputs, each in two halves, [⌈O/kPanel⌉, 2, I, kHalf]. A product of few rows reads it from
// its beginning to its end, as the processor fetches ahead: where registers hold the sums of a half, the other one would lie
// between its lines. Lanes are outputs, and nothing is summed across them.
constexpr int64_t kPanel = 32, kHalf = 16;

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

// So many lines are asked for ahead: a panel and more. The processor itself does not fetch as far, and so waits for memory, not for
// its own sums, where weights are not in its cache. Into the second cache, since they would fill the first.
constexpr int64_t kAhead = 1024;

// R rows of x [·, inputs] times V·W outputs of one panel from `first` on.
template <int W, int V, int R, typename T>
KERNELS_INLINE void multiply_rows(const float* x, const T* panel, int64_t first, int64_t inputs, float* sums) {
  typename Vector<W>::Floats lanes[R][V] = {};
  const T* at[V];
  for (int v = 0; v < V; ++v) at[v] = panel + (first + v * W) / kHalf * inputs * kHalf + (first + v * W) % kHalf;
  for (int64_t i = 0; i < inputs; ++i) {
    for (int v = 0; v < V; ++v) {
      typename Vector<W>::Floats weights;
      read_lanes<W>(at[v] + i * kHalf, weights);
      if (v * W % kHalf == 0) __builtin_prefetch(at[v] + (i + kAhead) * kHalf, 0, 1);
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
  for (int64_t first = 0; first < kPanel; first += V * W) multiply_rows<W, V, R>(x, panel, first, inputs, sums + first);
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
