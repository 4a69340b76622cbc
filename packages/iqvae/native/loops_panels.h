// The loops of products of few rows.
#pragma once

#include "simd.h"

#include <cmath>
#include <type_traits>

namespace kernels {

// A weight [O, I] lies in panels of kPanel outputs, each in two halves, [⌈O/kPanel⌉, 2, I, kHalf]. A product of few rows reads it from
// its beginning to its end, as the processor fetches ahead: where registers hold the sums of a half, the other one would lie
// between its lines. Lanes are outputs, and nothing is summed across them. In bfloat16 two inputs of an output lie side by side, as
// instructions for it take them: [⌈O/kPanel⌉, 2, ⌈I/2⌉, kHalf·2].
constexpr int64_t kPanel = 32, kHalf = 16;

template <typename T>
constexpr int64_t kTogether = std::is_same_v<T, Bf16> ? 2 : 1;

// The inputs of a panel, zeros at the end included.
template <typename T>
constexpr int64_t filled(int64_t inputs) {
  return (inputs + kTogether<T> - 1) / kTogether<T> * kTogether<T>;
}

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

// Two inputs of each output, as bfloat16 lies in a panel.
template <int W>
KERNELS_INLINE void read_pairs(const Bf16* p, typename Vector<W>::Floats& first, typename Vector<W>::Floats& second) {
  typename Vector<W>::Words pairs;
  std::memcpy(&pairs, p, sizeof(pairs));
  const typename Vector<W>::Words low = pairs << 16, high = pairs & 0xffff0000u;
  std::memcpy(&first, &low, sizeof(low));
  std::memcpy(&second, &high, sizeof(high));
}

// R rows of x [·, inputs] times V·W outputs of one panel from `first` on.
template <int W, int V, int R, typename T>
KERNELS_INLINE void multiply_rows(const float* x, const T* panel, int64_t first, int64_t inputs, float* sums) {
  constexpr int64_t kBeside = kTogether<T>;
  typename Vector<W>::Floats lanes[R][V] = {};
  const T* at[V];
  for (int v = 0; v < V; ++v) at[v] = panel + (first + v * W) / kHalf * inputs * kHalf + (first + v * W) % kHalf * kBeside;
  for (int64_t i = 0; i < inputs; i += kBeside) {
    for (int v = 0; v < V; ++v) {
      if (v * W % kHalf == 0) __builtin_prefetch(at[v] + (i + kAhead) * kHalf, 0, 1);
      if constexpr (kBeside == 1) {
        typename Vector<W>::Floats weights;
        read_lanes<W>(at[v] + i * kHalf, weights);
        for (int r = 0; r < R; ++r) lanes[r][v] += weights * x[r * inputs + i];
      } else {
        typename Vector<W>::Floats even, odd;
        read_pairs<W>(at[v] + i * kHalf, even, odd);
        for (int r = 0; r < R; ++r) lanes[r][v] += even * x[r * inputs + i] + odd * x[r * inputs + i + 1];
      }
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

// The sums of R rows with a bias, to their places in `out` [·, outputs].
template <int R>
KERNELS_INLINE void add_bias(const float* sums, const float* bias, int64_t outputs, int64_t count, float* out) {
  for (int r = 0; r < R; ++r)
    for (int64_t o = 0; o < count; ++o) out[r * outputs + o] = sums[r * kPanel + o] + (bias == nullptr ? 0.0f : bias[o]);
}

template <int W, int R, typename T>
KERNELS_INLINE void multiply_panel(const float* x, const T* panel, const float* bias, int64_t inputs, int64_t outputs, int64_t count, float* out) {
  constexpr int V = vectors_at_once<W, R>();
  float sums[R * kPanel];
  for (int64_t first = 0; first < kPanel; first += V * W) multiply_rows<W, V, R>(x, panel, first, inputs, sums + first);
  add_bias<R>(sums, bias, outputs, count, out);
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
