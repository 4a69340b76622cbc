// The loops of convolution by Winograd's F(2×2, 3×3): channels are innermost everywhere.
#pragma once

#include "simd.h"

namespace kernels {

// v[4r + s] ← (Bᵀ d B)[r][s] for the pixels d of one tile, 4 × 4, channel by channel.
KERNELS_INLINE void transform_input(const float* const d[16], float* __restrict v, int64_t plane, int64_t channels) {
  const float *d0 = d[0], *d1 = d[1], *d2 = d[2], *d3 = d[3], *d4 = d[4], *d5 = d[5], *d6 = d[6], *d7 = d[7];
  const float *d8 = d[8], *d9 = d[9], *d10 = d[10], *d11 = d[11], *d12 = d[12], *d13 = d[13], *d14 = d[14], *d15 = d[15];
  KERNELS_APART
  for (int64_t c = 0; c < channels; ++c) {
    const float rows[4][4] = {{d0[c], d1[c], d2[c], d3[c]}, {d4[c], d5[c], d6[c], d7[c]}, {d8[c], d9[c], d10[c], d11[c]}, {d12[c], d13[c], d14[c], d15[c]}};
    float m[4][4];
    for (int s = 0; s < 4; ++s) {
      m[0][s] = rows[0][s] - rows[2][s];
      m[1][s] = rows[1][s] + rows[2][s];
      m[2][s] = rows[2][s] - rows[1][s];
      m[3][s] = rows[1][s] - rows[3][s];
    }
    for (int r = 0; r < 4; ++r) {
      v[(4 * r) * plane + c] = m[r][0] - m[r][2];
      v[(4 * r + 1) * plane + c] = m[r][1] + m[r][2];
      v[(4 * r + 2) * plane + c] = m[r][2] - m[r][1];
      v[(4 * r + 3) * plane + c] = m[r][1] - m[r][3];
    }
  }
}

// The outputs of one tile, 2 × 2: Aᵀ m A.
KERNELS_INLINE void transform_output(const float* __restrict m, int64_t plane, const float* bias, float* const y[4], int64_t channels) {
  float *y0 = y[0], *y1 = y[1], *y2 = y[2], *y3 = y[3];
  KERNELS_APART
  for (int64_t k = 0; k < channels; ++k) {
    float rows[2][4];
    for (int s = 0; s < 4; ++s) {
      const float a = m[s * plane + k], b = m[(4 + s) * plane + k], c = m[(8 + s) * plane + k], d = m[(12 + s) * plane + k];
      rows[0][s] = a + b + c;
      rows[1][s] = b - c - d;
    }
    y0[k] = rows[0][0] + rows[0][1] + rows[0][2] + bias[k];
    y1[k] = rows[0][1] - rows[0][2] - rows[0][3] + bias[k];
    y2[k] = rows[1][0] + rows[1][1] + rows[1][2] + bias[k];
    y3[k] = rows[1][1] - rows[1][2] - rows[1][3] + bias[k];
  }
}

// The way back through the outputs' transform: w ← A g Aᵀ for the gradients g of one tile, 2 × 2.
KERNELS_INLINE void transform_gradient(const float* const g[4], float* __restrict w, int64_t plane, int64_t channels) {
  const float *g0 = g[0], *g1 = g[1], *g2 = g[2], *g3 = g[3];
  KERNELS_APART
  for (int64_t k = 0; k < channels; ++k) {
    const float m[4][2] = {{g0[k], g1[k]}, {g0[k] + g2[k], g1[k] + g3[k]}, {g0[k] - g2[k], g1[k] - g3[k]}, {-g2[k], -g3[k]}};
    for (int r = 0; r < 4; ++r) {
      w[(4 * r) * plane + k] = m[r][0];
      w[(4 * r + 1) * plane + k] = m[r][0] + m[r][1];
      w[(4 * r + 2) * plane + k] = m[r][0] - m[r][1];
      w[(4 * r + 3) * plane + k] = -m[r][1];
    }
  }
}

// [3, 3, n] → [16, n]: G g Gᵀ.
KERNELS_INLINE void transform_weights(const float* __restrict g, float* __restrict u, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float m[4][3];
    for (int s = 0; s < 3; ++s) {
      const float a = g[s * n + i], b = g[(3 + s) * n + i], c = g[(6 + s) * n + i];
      m[0][s] = a;
      m[1][s] = 0.5f * (a + b + c);
      m[2][s] = 0.5f * (a - b + c);
      m[3][s] = c;
    }
    for (int r = 0; r < 4; ++r) {
      u[(4 * r) * n + i] = m[r][0];
      u[(4 * r + 1) * n + i] = 0.5f * (m[r][0] + m[r][1] + m[r][2]);
      u[(4 * r + 2) * n + i] = 0.5f * (m[r][0] - m[r][1] + m[r][2]);
      u[(4 * r + 3) * n + i] = m[r][2];
    }
  }
}

// [16, n] → [3, 3, n]: Gᵀ u G, the way back through the weights' transform.
KERNELS_INLINE void weights_gradient(const float* __restrict u, float* __restrict g, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float m[3][4];
    for (int s = 0; s < 4; ++s) {
      const float a = u[s * n + i], b = u[(4 + s) * n + i], c = u[(8 + s) * n + i], d = u[(12 + s) * n + i];
      m[0][s] = a + 0.5f * (b + c);
      m[1][s] = 0.5f * (b - c);
      m[2][s] = 0.5f * (b + c) + d;
    }
    for (int r = 0; r < 3; ++r) {
      g[(3 * r) * n + i] = m[r][0] + 0.5f * (m[r][1] + m[r][2]);
      g[(3 * r + 1) * n + i] = 0.5f * (m[r][1] - m[r][2]);
      g[(3 * r + 2) * n + i] = 0.5f * (m[r][1] + m[r][2]) + m[r][3];
    }
  }
}

}  // namespace kernels
