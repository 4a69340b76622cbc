// Products by panels in bfloat16, with the instructions for it.
#pragma once

#include "loops_panels.h"
#include "simd_bf16.h"

namespace kernels {

#if defined(__x86_64__)

// R rows of pairs [·, inputs] times one panel.
template <int R>
KERNELS_BF16 inline void multiply_pairs(const Bf16* x, const Bf16* panel, int64_t inputs, float* sums) {
  constexpr int V = kPanel / kHalf;
  __m512 lanes[R][V];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) lanes[r][v] = _mm512_setzero_ps();
  for (int64_t i = 0; i < inputs; i += 2) {
    __m512bh weights[V];
    for (int v = 0; v < V; ++v) {
      const Bf16* at = panel + (v * inputs + i) * kHalf;
      weights[v] = (__m512bh)_mm512_loadu_si512(at);
      __builtin_prefetch(at + 2 * kAhead * kHalf, 0, 1);
    }
    for (int r = 0; r < R; ++r) {
      int32_t pair;
      std::memcpy(&pair, x + r * inputs + i, 4);
      const __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
      for (int v = 0; v < V; ++v) lanes[r][v] = _mm512_dpbf16_ps(lanes[r][v], both, weights[v]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) _mm512_storeu_ps(sums + r * kPanel + v * kHalf, lanes[r][v]);
}

// All rows times one panel, up to `kMost` at a time. A row is summed in the same order, whichever of these it is in.
template <int kMost>
KERNELS_BF16 inline void multiply_all_pairs(const Bf16* x, const Bf16* panel, const float* bias, int64_t rows, int64_t inputs, int64_t outputs,
                                            int64_t count, float* out) {
  constexpr int R = kMost;
  for (; rows >= R; rows -= R, x += R * inputs, out += R * outputs) {
    float sums[R * kPanel];
    multiply_pairs<R>(x, panel, inputs, sums);
    add_bias<R>(sums, bias, outputs, count, out);
  }
  if constexpr (R > 1) multiply_all_pairs<R == 12 ? 8 : R == 8 ? 4 : R - 1>(x, panel, bias, rows, inputs, outputs, count, out);
}

KERNELS_BF16 inline void round_all(const float* x, int64_t count, Bf16* out) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) round_to(out + i, _mm512_loadu_ps(x + i));
  for (; i < count; ++i) store(out + i, x[i]);
}

#endif

// The nearest numbers of bfloat16, as float32.
KERNELS_INLINE void round_in_floats(const float* x, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) {
    Bf16 near;
    store(&near, x[i]);
    out[i] = load(&near);
  }
}

// A row as multiply_entered takes it for a weight in bfloat16: pairs where instructions multiply them, else float32, which a loop reads with
// less work.
inline void round_row(const float* x, int64_t count, float* out) {
#if defined(__x86_64__)
  if (has_bf16_vectors()) return round_all(x, count, reinterpret_cast<Bf16*>(out));
#endif
  best<round_in_floats>(x, count, out);
}

inline void multiply_entered(const float* x, const float* panel, const float* bias, int64_t rows, int64_t inputs, int64_t outputs, int64_t count,
                             float* out) {
  multiply<float>(x, panel, bias, rows, inputs, outputs, count, out);
}
inline void multiply_entered(const float* x, const Bf16* panel, const float* bias, int64_t rows, int64_t inputs, int64_t outputs, int64_t count,
                             float* out) {
#if defined(__x86_64__)
  if (has_bf16_vectors()) return multiply_all_pairs<12>(reinterpret_cast<const Bf16*>(x), panel, bias, rows, inputs, outputs, count, out);
#endif
  multiply<Bf16>(x, panel, bias, rows, inputs, outputs, count, out);
}

}  // namespace kernels
