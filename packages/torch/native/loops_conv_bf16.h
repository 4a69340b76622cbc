// The loops of convolution by Winograd's F(2×2, 3×3) with the instructions for bfloat16. Pairs of channels are multiplied at once, and
// summed in float32.
#pragma once

#include "simd_bf16.h"

namespace kernels {

#if defined(__x86_64__)

// Outputs of a panel of weights, [⌈C/2⌉, 32, 2].
constexpr int64_t kOutputs = 32;

// Bᵀ d B of 16 channels.
KERNELS_BF16 inline void transform_pixels(const Bf16* const d[16], int64_t c, __m512 v[16]) {
  __m512 m[4][4];
  for (int s = 0; s < 4; ++s) {
    const __m512 a = widen(d[s] + c), b = widen(d[4 + s] + c), e = widen(d[8 + s] + c), f = widen(d[12 + s] + c);
    m[0][s] = a - e;
    m[1][s] = b + e;
    m[2][s] = e - b;
    m[3][s] = b - f;
  }
  for (int r = 0; r < 4; ++r) {
    v[4 * r] = m[r][0] - m[r][2];
    v[4 * r + 1] = m[r][1] + m[r][2];
    v[4 * r + 2] = m[r][2] - m[r][1];
    v[4 * r + 3] = m[r][1] - m[r][3];
  }
}

// v [16, ·, C] from the pixels of one tile, 4 × 4.
KERNELS_BF16 inline void transform_input_bf16(const Bf16* const d[16], Bf16* to, int64_t plane, int64_t channels) {
  for (int64_t c = 0; c < channels; c += 16) {
    __m512 v[16];
    transform_pixels(d, c, v);
    for (int i = 0; i < 16; ++i) round_to(to + i * plane + c, v[i]);
  }
}

// The outputs of one tile, 2 × 2: Aᵀ m A, plus a bias.
KERNELS_BF16 inline void transform_output_bf16(const float* m, int64_t plane, const float* bias, Bf16* const y[4], int64_t channels) {
  for (int64_t k = 0; k < channels; k += 16) {
    __m512 rows[2][4];
    for (int s = 0; s < 4; ++s) {
      const __m512 a = _mm512_loadu_ps(m + s * plane + k), b = _mm512_loadu_ps(m + (4 + s) * plane + k);
      const __m512 c = _mm512_loadu_ps(m + (8 + s) * plane + k), d = _mm512_loadu_ps(m + (12 + s) * plane + k);
      rows[0][s] = a + b + c;
      rows[1][s] = b - c - d;
    }
    const __m512 offset = _mm512_loadu_ps(bias + k);
    for (int r = 0; r < 2; ++r) {
      round_to(y[2 * r] + k, rows[r][0] + rows[r][1] + rows[r][2] + offset);
      round_to(y[2 * r + 1] + k, rows[r][1] - rows[r][2] - rows[r][3] + offset);
    }
  }
}

// Weights [3, 3, C, K] → [16, ⌈K/32⌉, C/2, 32, 2]: G g Gᵀ. C is even, K a multiple of 16; `u` was filled with zeros.
KERNELS_BF16 inline void pack_weights_bf16(const float* g, Bf16* u, int64_t C, int64_t K, int64_t wide) {
  for (int64_t c = 0; c < C; c += 2)
    for (int64_t k = 0; k < K; k += 16) {
      Words words[16];
      for (int half = 0; half < 2; ++half) {
        __m512 m[4][3];
        const __m512 h = _mm512_set1_ps(0.5f);
        for (int s = 0; s < 3; ++s) {
          const float* at = g + (s * C + c + half) * K + k;
          const __m512 a = _mm512_loadu_ps(at), b = _mm512_loadu_ps(at + 3 * C * K), d = _mm512_loadu_ps(at + 6 * C * K);
          m[0][s] = a;
          m[1][s] = h * (a + b + d);
          m[2][s] = h * (a - b + d);
          m[3][s] = d;
        }
        for (int r = 0; r < 4; ++r) {
          const __m512 row[4] = {m[r][0], h * (m[r][0] + m[r][1] + m[r][2]), h * (m[r][0] - m[r][1] + m[r][2]), m[r][2]};
          for (int s = 0; s < 4; ++s) {
            const Words bits = low_halves(rounded(row[s]));
            words[4 * r + s] = half == 0 ? bits : words[4 * r + s] | bits << 16;
          }
        }
      }
      Bf16* to = u + k / kOutputs * kOutputs * C + (c / 2 * kOutputs + k % kOutputs) * 2;
      for (int i = 0; i < 16; ++i) std::memcpy(to + i * C * wide, &words[i], sizeof(words[i]));
    }
}

// R rows of v [·, C] times V·16 outputs of one panel of weights.
template <int R, int V>
KERNELS_BF16 inline void multiply_rows_bf16(const Bf16* v, const Bf16* panel, int64_t C, float* out, int64_t outputs) {
  __m512 sums[R][V];
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < V; ++i) sums[r][i] = _mm512_setzero_ps();
  for (int64_t c = 0; c < C; c += 2) {
    __m512bh weights[V];
    for (int i = 0; i < V; ++i) weights[i] = (__m512bh)_mm512_loadu_si512(panel + c * kOutputs + 32 * i);
    for (int r = 0; r < R; ++r) {
      int32_t pair;
      std::memcpy(&pair, v + r * C + c, 4);
      const __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
      for (int i = 0; i < V; ++i) sums[r][i] = _mm512_dpbf16_ps(sums[r][i], both, weights[i]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < V; ++i) _mm512_storeu_ps(out + r * outputs + 16 * i, sums[r][i]);
}

// [rows, C] times weights in panels → [rows, outputs]; outputs are a multiple of 32 in memory.
KERNELS_BF16 inline void multiply_bf16(const Bf16* v, const Bf16* panels, int64_t rows, int64_t C, float* out, int64_t outputs) {
  for (int64_t k = 0; k < outputs; k += kOutputs) {
    const Bf16* panel = panels + k * C;
    int64_t r = 0;
    for (; r + 12 <= rows; r += 12) multiply_rows_bf16<12, 2>(v + r * C, panel, C, out + r * outputs + k, outputs);
    for (; r < rows; ++r) multiply_rows_bf16<1, 2>(v + r * C, panel, C, out + r * outputs + k, outputs);
  }
}

// Two tiles of transformed numbers [16, channels] in float32, as pairs: [16, channels, 2], `plane` apart.
KERNELS_BF16 inline void pair_up(const __m512* first, const __m512* second, Bf16* to, int64_t plane) {
  for (int i = 0; i < 16; ++i) {
    const Words pair = low_halves(rounded(first[i])) | low_halves(rounded(second[i])) << 16;
    std::memcpy(to + i * plane, &pair, sizeof(pair));
  }
}

// A g Aᵀ of 16 channels, the way back through the outputs' transform; `sum` gains the gradients themselves.
KERNELS_BF16 inline void transform_gradients(const Bf16* const g[4], int64_t k, __m512 w[16], float* sum) {
  const __m512 a = widen(g[0] + k), b = widen(g[1] + k), c = widen(g[2] + k), d = widen(g[3] + k);
  _mm512_storeu_ps(sum + k, _mm512_loadu_ps(sum + k) + ((a + b) + (c + d)));
  const __m512 m[4][2] = {{a, b}, {a + c, b + d}, {a - c, b - d}, {_mm512_setzero_ps() - c, _mm512_setzero_ps() - d}};
  for (int r = 0; r < 4; ++r) {
    w[4 * r] = m[r][0];
    w[4 * r + 1] = m[r][0] + m[r][1];
    w[4 * r + 2] = m[r][0] - m[r][1];
    w[4 * r + 3] = _mm512_setzero_ps() - m[r][1];
  }
}

// Pairs of tiles: v [16, ·, C, 2] from the pixels of two tiles.
KERNELS_BF16 inline void transform_pixels_of_two(const Bf16* const first[16], const Bf16* const second[16], Bf16* v, int64_t plane, int64_t channels) {
  for (int64_t c = 0; c < channels; c += 16) {
    __m512 a[16], b[16];
    transform_pixels(first, c, a);
    transform_pixels(second, c, b);
    pair_up(a, b, v + 2 * c, plane);
  }
}

KERNELS_BF16 inline void transform_gradients_of_two(const Bf16* const first[4], const Bf16* const second[4], Bf16* w, int64_t plane, int64_t channels,
                                                    float* sum) {
  for (int64_t k = 0; k < channels; k += 16) {
    __m512 a[16], b[16];
    transform_gradients(first, k, a, sum);
    transform_gradients(second, k, b, sum);
    pair_up(a, b, w + 2 * k, plane);
  }
}

// sums [C, K] gain vᵀ w for R of the C and V·16 of the K, over pairs of tiles: v [pairs, C, 2], w [pairs, K, 2].
template <int R, int V>
KERNELS_BF16 inline void add_outer(const Bf16* v, const Bf16* w, int64_t pairs, int64_t C, int64_t K, float* sums) {
  __m512 lanes[R][V];
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < V; ++i) lanes[r][i] = _mm512_loadu_ps(sums + r * K + 16 * i);
  for (int64_t t = 0; t < pairs; ++t) {
    __m512bh gradients[V];
    for (int i = 0; i < V; ++i) gradients[i] = (__m512bh)_mm512_loadu_si512(w + 2 * (t * K + 16 * i));
    for (int r = 0; r < R; ++r) {
      int32_t pair;
      std::memcpy(&pair, v + 2 * (t * C + r), 4);
      const __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
      for (int i = 0; i < V; ++i) lanes[r][i] = _mm512_dpbf16_ps(lanes[r][i], both, gradients[i]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < V; ++i) _mm512_storeu_ps(sums + r * K + 16 * i, lanes[r][i]);
}

// The same for all of C and K, multiples of 16.
KERNELS_BF16 inline void add_outer_all(const Bf16* v, const Bf16* w, int64_t pairs, int64_t C, int64_t K, float* sums) {
  for (int64_t k = 0; k < K; k += 32) {
    const bool whole = k + 32 <= K;
    for (int64_t c = 0; c < C; c += 8) {
      float* to = sums + c * K + k;
      if (whole)
        add_outer<8, 2>(v + 2 * c, w + 2 * k, pairs, C, K, to);
      else
        add_outer<8, 1>(v + 2 * c, w + 2 * k, pairs, C, K, to);
    }
  }
}

#endif

}  // namespace kernels
