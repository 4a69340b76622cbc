// Convolutions with kernels of 3 × 3, stride 1 and padding 1 in float32, by Winograd's F(2×2, 3×3) (Lavin & Gray 2016, "Fast
// Algorithms for Convolutional Neural Networks"): 16 multiplications for 4 outputs where 36 are usual, forward and backward. Tiles
// are transformed in the cache, and the products are those of oneDNN's `sgemm`. oneDNN's own Winograd needs AVX-512. In bfloat16 see
// conv_bf16.h.
#include "conv_bf16.h"
#include "conv_shares.h"
#include "conv_tiles.h"
#include "history.h"
#include "loops_conv.h"
#include "parallel.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
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
using namespace kernels;

// Tiles that are transformed and multiplied at a time.
constexpr int64_t kTiles = 64;
// With fewer channels the transforms cost more than they save.
constexpr int64_t kLeastChannels = 16;

// Calls work(part, first tile, last tile) for as many parts as there are threads: where they lie depends on their number alone.
template <typename F>
void in_parts(const Grid& grid, const F& work) {
  const int64_t blocks = (grid.tiles() + kTiles - 1) / kTiles, parts = std::min<int64_t>(at::get_num_threads(), blocks);
  parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part)
      work(part, blocks * part / parts * kTiles, std::min(blocks * (part + 1) / parts * kTiles, grid.tiles()));
  });
}

void transform_inputs(const float* x, const Grid& grid, int64_t channels, int64_t first, int64_t count, const float* zeros, float* v) {
  for (int64_t t = 0; t < count; ++t) {
    const Tile tile = tile_at(grid, first + t);
    const float* d[16];
    for (int i = 0; i < 16; ++i) d[i] = pixel(x, grid, channels, tile, i / 4 - 1, i % 4 - 1, zeros);
    best<transform_input>(d, v + t * channels, kTiles * channels, channels);
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
        best<transform_output>(m.data() + t * K, kTiles * K, bias, outputs, K);
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
        best<transform_gradient>(g, w.data() + t * K, kTiles * K, K);
      }
      for (int64_t i = 0; i < 16; ++i)
        dnnl_sgemm('T', 'N', C, K, count, 1.0f, v.data() + i * kTiles * C, C, w.data() + i * kTiles * K, K, 1.0f, to + (part * 16 + i) * C * K, K);
    }
  });
  const Tensor u = parts == 1 ? sums[0] : sums.sum(0);
  Tensor g = at::empty({3, 3, C, K}, x.options());
  best<weights_gradient>(u.data_ptr<float>(), g.data_ptr<float>(), C * K);
  return g;
}

// y for x [B, C, H, W] in channels_last, by weights [3, 3, C, K].
Tensor convolved(const Tensor& x, const Tensor& weights, const Tensor& bias) {
  const Grid grid{x.size(0), x.size(2), x.size(3)};
  const int64_t C = weights.size(2), K = weights.size(3);
  const Tensor g = weights.contiguous();
  Tensor u = at::empty({16, C, K}, x.options());
  best<transform_weights>(g.data_ptr<float>(), u.data_ptr<float>(), C * K);
  const Tensor offset = bias.contiguous();
  Tensor y = at::empty({x.size(0), K, x.size(2), x.size(3)}, x.options(), at::MemoryFormat::ChannelsLast);
  convolve(x.data_ptr<float>(), u.data_ptr<float>(), offset.data_ptr<float>(), y.data_ptr<float>(), grid, C, K);
  return y;
}

struct Winograd : torch::autograd::Function<Winograd> {
  // x comes in channels_last: a copy made in here would be saved without its history, which second derivatives need.
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias) {
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

// Whether the way back will ask for the weights' gradient. With one image or thread there is but one share, and libtorch's would do if its
// second derivative were right everywhere.
bool takes_shares(const Tensor& x, const Tensor& weight) {
  return at::GradMode::is_enabled() && weight.requires_grad() && is_float(weight) && weight.dim() == 4 && x.is_cpu() && x.dim() == 4 &&
         x.is_floating_point() && x.size(0) > 0 && kernels::autocast_type() == at::kBFloat16;
}

// libtorch's conv2d, by Winograd's algorithm where that is the faster one.
Tensor conv2d(const Tensor& x, const Tensor& weight, const c10::optional<Tensor>& bias, at::IntArrayRef stride, at::IntArrayRef padding) {
  kernels::check_one_device("conv2d", {x, weight, kernels::or_none(bias)});
  const bool same = stride == at::IntArrayRef({1, 1}) && padding == at::IntArrayRef({1, 1});
  const bool rounded = !c10::impl::tls_is_dispatch_key_excluded(c10::DispatchKey::AutocastCPU);
  if (rounded && same && kernels::autocast_type() == at::kBFloat16 && kernels::takes_winograd_bf16(x, weight, bias)) {
    const Tensor planes = at::autocast::cached_cast(at::kBFloat16, x, c10::DeviceType::CPU);
    c10::impl::ExcludeDispatchKeyGuard plain(c10::DispatchKey::AutocastCPU);
    return kernels::winograd_bf16(planes, weight, bias);
  }
  if (rounded && takes_shares(x, weight)) {
    const Tensor planes = at::autocast::cached_cast(at::kBFloat16, x, c10::DeviceType::CPU);
    c10::impl::ExcludeDispatchKeyGuard plain(c10::DispatchKey::AutocastCPU);
    return kernels::ConvolutionByShares::apply(planes, weight, bias, stride, padding);
  }
  const bool fused = dnnl_sgemm != nullptr && same && !rounded && is_float(x) && is_float(weight) && x.dim() == 4 && weight.dim() == 4 &&
                     weight.size(2) == 3 && weight.size(3) == 3 && weight.size(1) == x.size(1) && weight.size(1) >= kLeastChannels &&
                     weight.size(0) >= kLeastChannels && x.numel() > 0 &&
                     (!bias || !bias->defined() || (is_float(*bias) && bias->dim() == 1 && bias->size(0) == weight.size(0)));
  if (!fused) return at::conv2d(x, weight, bias, stride, padding);
  const bool has_bias = bias && bias->defined();
  return Winograd::apply(x.contiguous(at::MemoryFormat::ChannelsLast), weight, has_bias ? *bias : at::zeros({weight.size(0)}, weight.options()));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(fused, m) {
  m.def("conv2d(Tensor x, Tensor weight, Tensor? bias, int[2] stride, int[2] padding) -> Tensor", conv2d);
}
