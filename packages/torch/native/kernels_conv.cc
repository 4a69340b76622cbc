// Convolutions with kernels of 3 × 3, stride 1 and padding 1 in float32, by Winograd's F(2×2, 3×3) (Lavin & Gray 2016, "Fast
// Algorithms for Convolutional Neural Networks"): 16 multiplications for 4 outputs where 36 are usual, forward and backward. Tiles
// are transformed in the cache, and the products are those of oneDNN's `sgemm`. oneDNN's own Winograd needs AVX-512.
#include "history.h"
#include "simd.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

// Not every libtorch shows its oneDNN: without this symbol all is libtorch's own convolution.
extern "C" __attribute__((weak)) int dnnl_sgemm(char transposed_a, char transposed_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
                                                int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);

namespace {

using at::Tensor;

// Tiles that are transformed and multiplied at a time.
constexpr int64_t kTiles = 64;
// With fewer channels the transforms cost more than they save.
constexpr int64_t kLeastChannels = 16;

struct Grid {
  int64_t images, height, width;
  int64_t across() const { return (width + 1) / 2; }
  int64_t down() const { return (height + 1) / 2; }
  int64_t tiles() const { return images * down() * across(); }
};

struct Tile {
  int64_t image, row, column;  // its upper left output
};

Tile tile_at(const Grid& grid, int64_t n) {
  const int64_t across = grid.across(), down = grid.down();
  return {n / (across * down), 2 * (n / across % down), 2 * (n % across)};
}

// Channels of a pixel of [B, H, W, C], or `outside`.
template <typename T>
T* pixel(T* x, const Grid& grid, int64_t channels, const Tile& tile, int64_t row, int64_t column, T* outside) {
  const int64_t y = tile.row + row, z = tile.column + column;
  if (y < 0 || y >= grid.height || z < 0 || z >= grid.width) return outside;
  return x + ((tile.image * grid.height + y) * grid.width + z) * channels;
}

// v[4r + s] ← (Bᵀ d B)[r][s] for the pixels d of one tile, 4 × 4, channel by channel.
IQVAE_CLONES void transform_input(const float* const d[16], float* __restrict v, int64_t plane, int64_t channels) {
  const float *d0 = d[0], *d1 = d[1], *d2 = d[2], *d3 = d[3], *d4 = d[4], *d5 = d[5], *d6 = d[6], *d7 = d[7];
  const float *d8 = d[8], *d9 = d[9], *d10 = d[10], *d11 = d[11], *d12 = d[12], *d13 = d[13], *d14 = d[14], *d15 = d[15];
#pragma GCC ivdep
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
IQVAE_CLONES void transform_output(const float* __restrict m, int64_t plane, const float* bias, float* const y[4], int64_t channels) {
  float *y0 = y[0], *y1 = y[1], *y2 = y[2], *y3 = y[3];
#pragma GCC ivdep
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
IQVAE_CLONES void transform_gradient(const float* const g[4], float* __restrict w, int64_t plane, int64_t channels) {
  const float *g0 = g[0], *g1 = g[1], *g2 = g[2], *g3 = g[3];
#pragma GCC ivdep
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
IQVAE_CLONES void transform_weights(const float* __restrict g, float* __restrict u, int64_t n) {
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
IQVAE_CLONES void weights_gradient(const float* __restrict u, float* __restrict g, int64_t n) {
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

// Calls work(part, first tile, last tile) for as many parts as there are threads: where they lie depends on their number alone.
template <typename F>
void in_parts(const Grid& grid, const F& work) {
  const int64_t blocks = (grid.tiles() + kTiles - 1) / kTiles, parts = std::min<int64_t>(at::get_num_threads(), blocks);
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part)
      work(part, blocks * part / parts * kTiles, std::min(blocks * (part + 1) / parts * kTiles, grid.tiles()));
  });
}

void transform_inputs(const float* x, const Grid& grid, int64_t channels, int64_t first, int64_t count, const float* zeros, float* v) {
  for (int64_t t = 0; t < count; ++t) {
    const Tile tile = tile_at(grid, first + t);
    const float* d[16];
    for (int i = 0; i < 16; ++i) d[i] = pixel(x, grid, channels, tile, i / 4 - 1, i % 4 - 1, zeros);
    transform_input(d, v + t * channels, kTiles * channels, channels);
  }
}

// x [B, H, W, C] with weights [16, C, K] → y [B, H, W, K].
void convolve(const float* x, const float* u, const float* bias, float* y, const Grid& grid, int64_t C, int64_t K) {
  in_parts(grid, [&](int64_t, int64_t begin, int64_t end) {
    std::vector<float> v(16 * kTiles * C), m(16 * kTiles * K), zeros(C), outside(K);
    for (int64_t first = begin; first < end; first += kTiles) {
      const int64_t count = std::min(kTiles, end - first);
      transform_inputs(x, grid, C, first, count, zeros.data(), v.data());
      for (int64_t i = 0; i < 16; ++i)
        dnnl_sgemm('N', 'N', count, K, C, 1.0f, v.data() + i * kTiles * C, C, u + i * C * K, K, 0.0f, m.data() + i * kTiles * K, K);
      for (int64_t t = 0; t < count; ++t) {
        const Tile tile = tile_at(grid, first + t);
        float* outputs[4];
        for (int i = 0; i < 4; ++i) outputs[i] = pixel(y, grid, K, tile, i / 2, i % 2, outside.data());
        transform_output(m.data() + t * K, kTiles * K, bias, outputs, K);
      }
    }
  });
}

// The gradient of the weights, [3, 3, C, K].
Tensor gradient_of_weights(const Tensor& x, const Tensor& dy, const Grid& grid, int64_t C, int64_t K) {
  const int64_t parts = std::min<int64_t>(at::get_num_threads(), (grid.tiles() + kTiles - 1) / kTiles);
  Tensor sums = at::zeros({parts, 16, C, K}, x.options());
  const float *from = x.data_ptr<float>(), *gradients = dy.data_ptr<float>();
  float* to = sums.data_ptr<float>();
  in_parts(grid, [&](int64_t part, int64_t begin, int64_t end) {
    std::vector<float> v(16 * kTiles * C), w(16 * kTiles * K), zeros(std::max(C, K));
    for (int64_t first = begin; first < end; first += kTiles) {
      const int64_t count = std::min(kTiles, end - first);
      transform_inputs(from, grid, C, first, count, zeros.data(), v.data());
      for (int64_t t = 0; t < count; ++t) {
        const Tile tile = tile_at(grid, first + t);
        const float* g[4];
        for (int i = 0; i < 4; ++i) g[i] = pixel(gradients, grid, K, tile, i / 2, i % 2, static_cast<const float*>(zeros.data()));
        transform_gradient(g, w.data() + t * K, kTiles * K, K);
      }
      for (int64_t i = 0; i < 16; ++i)
        dnnl_sgemm('T', 'N', C, K, count, 1.0f, v.data() + i * kTiles * C, C, w.data() + i * kTiles * K, K, 1.0f, to + (part * 16 + i) * C * K, K);
    }
  });
  const Tensor u = parts == 1 ? sums[0] : sums.sum(0);
  Tensor g = at::empty({3, 3, C, K}, x.options());
  weights_gradient(u.data_ptr<float>(), g.data_ptr<float>(), C * K);
  return g;
}

// y for x [B, C, H, W] in channels_last, by weights [3, 3, C, K].
Tensor convolved(const Tensor& x, const Tensor& weights, const Tensor& bias) {
  const Grid grid{x.size(0), x.size(2), x.size(3)};
  const int64_t C = weights.size(2), K = weights.size(3);
  const Tensor g = weights.contiguous();
  Tensor u = at::empty({16, C, K}, x.options());
  transform_weights(g.data_ptr<float>(), u.data_ptr<float>(), C * K);
  const Tensor offset = bias.contiguous();
  Tensor y = at::empty({x.size(0), K, x.size(2), x.size(3)}, x.options(), at::MemoryFormat::ChannelsLast);
  convolve(x.data_ptr<float>(), u.data_ptr<float>(), offset.data_ptr<float>(), y.data_ptr<float>(), grid, C, K);
  return y;
}

struct Winograd : torch::autograd::Function<Winograd> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input, const Tensor& weight, const Tensor& bias) {
    const Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
    context->save_for_backward({x, weight});
    return convolved(x, weight.permute({2, 3, 1, 0}), bias);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context, torch::autograd::tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1];
    if (at::GradMode::is_enabled()) {  // for a second derivative: libtorch's, which has one
      const auto all = at::convolution_backward(gradients[0], x, weight, at::IntArrayRef{weight.size(0)}, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}, 1,
                                                {true, true, true});
      return {std::get<0>(all), std::get<1>(all), std::get<2>(all)};
    }
    const Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast).resolve_neg();
    Tensor dx, dw, db;
    // The gradient of the input is the same convolution, by weights that are turned around.
    if (context->needs_input_grad(0)) dx = convolved(dy, weight.flip({2, 3}).permute({2, 3, 0, 1}), at::zeros({x.size(1)}, x.options()));
    if (context->needs_input_grad(1)) {
      const Grid grid{x.size(0), x.size(2), x.size(3)};
      dw = gradient_of_weights(x, dy, grid, weight.size(1), weight.size(0)).permute({3, 2, 0, 1});
    }
    if (context->needs_input_grad(2)) db = dy.sum({0, 2, 3});
    return {dx, dw, db};
  }
};

bool is_float(const Tensor& tensor) {
  return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided && !tensor.is_neg();
}

// libtorch's conv2d, by Winograd's algorithm where that is the faster one.
Tensor conv2d(const Tensor& x, const Tensor& weight, const c10::optional<Tensor>& bias, at::IntArrayRef stride, at::IntArrayRef padding) {
  kernels::check_one_device("conv2d", {x, weight, kernels::or_none(bias)});
  const bool same = stride == at::IntArrayRef({1, 1}) && padding == at::IntArrayRef({1, 1});
  const bool rounded = c10::impl::tls_local_dispatch_key_set().included_.has(c10::DispatchKey::AutocastCPU);
  const bool fused = dnnl_sgemm != nullptr && same && !rounded && is_float(x) && is_float(weight) && x.dim() == 4 && weight.dim() == 4 &&
                     weight.size(2) == 3 && weight.size(3) == 3 && weight.size(1) == x.size(1) && weight.size(1) >= kLeastChannels &&
                     weight.size(0) >= kLeastChannels && x.numel() > 0 &&
                     (!bias || !bias->defined() || (is_float(*bias) && bias->dim() == 1 && bias->size(0) == weight.size(0)));
  if (!fused) return at::conv2d(x, weight, bias, stride, padding);
  const bool has_bias = bias && bias->defined();
  return Winograd::apply(x, weight, has_bias ? *bias : at::zeros({weight.size(0)}, weight.options()));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(fused, m) {
  m.def("conv2d(Tensor x, Tensor weight, Tensor? bias, int[2] stride, int[2] padding) -> Tensor", conv2d);
}
