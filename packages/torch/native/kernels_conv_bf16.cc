// See conv_bf16.h. Tiles are transformed in the cache; products are of pairs of channels, those for the gradient of weights of pairs of tiles.
#include "conv_bf16.h"

#include "conv_shares.h"
#include "conv_tiles.h"
#include "loops_conv.h"
#include "loops_conv_bf16.h"
#include "parallel.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace kernels {

#if defined(__x86_64__)
namespace {

using at::Tensor;

// Tiles that are transformed and multiplied at a time: a multiple of the rows that a product takes at once. For the gradient of weights twice
// as many, in pairs: for each of these all sums are read and written.
constexpr int64_t kTiles = 48, kPaired = 96;
constexpr int64_t kLeastChannels = 48;

// Memory that is written before it is read.
template <typename T>
std::unique_ptr<T[]> room(int64_t count) {
  return std::unique_ptr<T[]>(new T[count]);
}

const Bf16* bits_of(const Tensor& x) { return static_cast<const Bf16*>(x.data_ptr()); }

// y for x [B, C, H, W], by weights [3, 3, C, K] in float32.
Tensor convolved(const Tensor& input, const Tensor& weights, const Tensor& bias) {
  const Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast), g = weights.contiguous();
  const Grid grid{x.size(0), x.size(2), x.size(3)};
  const int64_t C = g.size(2), K = g.size(3), wide = (K + kOutputs - 1) / kOutputs * kOutputs;
  std::vector<Bf16> u(16 * C * wide, Bf16{0});
  pack_weights_bf16(g.data_ptr<float>(), u.data(), C, K, wide);
  Tensor y = at::empty({x.size(0), K, x.size(2), x.size(3)}, x.options(), at::MemoryFormat::ChannelsLast);
  const Bf16* from = bits_of(x);
  Bf16* to = static_cast<Bf16*>(y.data_ptr());
  const float* offset = bias.data_ptr<float>();
  parallel_for(0, (grid.tiles() + kTiles - 1) / kTiles, 1, [&](int64_t begin, int64_t end) {
    const auto v = room<Bf16>(16 * kTiles * C), outside = room<Bf16>(K);
    const auto m = room<float>(16 * kTiles * wide);
    const std::vector<Bf16> zeros(C, Bf16{0});
    for (int64_t first = begin * kTiles; first < std::min(end * kTiles, grid.tiles()); first += kTiles) {
      const int64_t count = std::min(kTiles, grid.tiles() - first);
      for (int64_t t = 0; t < count; ++t) {
        const Tile tile = tile_at(grid, first + t);
        const Bf16* d[16];
        for (int i = 0; i < 16; ++i) d[i] = pixel(from, grid, C, tile, i / 4 - 1, i % 4 - 1, zeros.data());
        transform_input_bf16(d, v.get() + t * C, kTiles * C, C);
      }
      for (int64_t i = 0; i < 16; ++i) multiply_bf16(v.get() + i * kTiles * C, u.data() + i * C * wide, count, C, m.get() + i * kTiles * wide, wide);
      for (int64_t t = 0; t < count; ++t) {
        const Tile tile = tile_at(grid, first + t);
        Bf16* outputs[4];
        for (int i = 0; i < 4; ++i) outputs[i] = pixel(to, grid, K, tile, i / 2, i % 2, outside.get());
        transform_output_bf16(m.get() + t * wide, kTiles * wide, offset, outputs, K);
      }
    }
  });
  return y;
}

// The gradients of the weights, [3, 3, C, K], and of the bias. Each thread has a share of the images: their sums depend on its number alone.
std::pair<Tensor, Tensor> gradients_of_weights(const Tensor& input, const Tensor& gradient) {
  const Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast), dy = gradient.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t images = x.size(0), C = x.size(1), K = dy.size(1), shares = std::min<int64_t>(at::get_num_threads(), images);
  const Grid grid{images, x.size(2), x.size(3)};
  const int64_t each = grid.tiles() / images;
  const auto options = x.options().dtype(at::kFloat);
  const Tensor weights = at::empty({shares, 3, 3, C, K}, options), biases = at::zeros({shares, K}, options);
  float *of_weights = weights.data_ptr<float>(), *of_bias = biases.data_ptr<float>();
  parallel_for(0, shares, 1, [&](int64_t begin, int64_t end) {
    const auto v = room<Bf16>(16 * kPaired * C), w = room<Bf16>(16 * kPaired * K);
    const std::vector<Bf16> zeros(std::max(C, K), Bf16{0});
    for (int64_t share = begin; share < end; ++share) {
      std::vector<float> sums(16 * C * K);
      const int64_t last = images * (share + 1) / shares * each;
      for (int64_t first = images * share / shares * each; first < last; first += kPaired) {
        const int64_t count = std::min(kPaired, last - first), pairs = (count + 1) / 2;
        for (int64_t p = 0; p < pairs; ++p) {
          const Bf16 *d[2][16], *g[2][4];
          for (int half = 0; half < 2; ++half) {
            const bool there = 2 * p + half < count;
            const Tile tile = tile_at(grid, there ? first + 2 * p + half : first);
            for (int i = 0; i < 16; ++i) d[half][i] = there ? pixel(bits_of(x), grid, C, tile, i / 4 - 1, i % 4 - 1, zeros.data()) : zeros.data();
            for (int i = 0; i < 4; ++i) g[half][i] = there ? pixel(bits_of(dy), grid, K, tile, i / 2, i % 2, zeros.data()) : zeros.data();
          }
          transform_pixels_of_two(d[0], d[1], v.get() + 2 * p * C, kPaired * C, C);
          transform_gradients_of_two(g[0], g[1], w.get() + 2 * p * K, kPaired * K, K, of_bias + share * K);
        }
        for (int64_t i = 0; i < 16; ++i) add_outer_all(v.get() + i * kPaired * C, w.get() + i * kPaired * K, pairs, C, K, sums.data() + i * C * K);
      }
      best<weights_gradient>(sums.data(), of_weights + share * 9 * C * K, C * K);
    }
  });
  if (shares == 1) return {weights[0], biases[0]};
  return {weights.sum(0), biases.sum(0)};
}

struct WinogradBf16 : torch::autograd::Function<WinogradBf16> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& weight, const c10::optional<Tensor>& bias) {
    const bool has_bias = bias && bias->defined();
    context->save_for_backward({x, weight});
    context->saved_data["has_bias"] = has_bias;
    return convolved(x, weight.permute({2, 3, 1, 0}), has_bias ? bias->contiguous() : at::zeros({weight.size(0)}, weight.options()));
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context, torch::autograd::tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], dy = gradients[0].resolve_neg();
    const bool to_bias = context->saved_data["has_bias"].toBool() && context->needs_input_grad(2);
    const bool to_x = context->needs_input_grad(0), to_weight = context->needs_input_grad(1);
    Tensor dx, dw, db;
    if (at::GradMode::is_enabled()) {  // for a second derivative
      std::tie(dx, dw, db) = back_with_history(dy, x, weight, {1, 1}, {1, 1}, {to_x, to_weight, to_bias});
    } else {
      // The gradient of the input is the same convolution, by weights that are turned around.
      if (to_x) dx = convolved(dy, weight.flip({2, 3}).permute({2, 3, 0, 1}), at::zeros({x.size(1)}, weight.options()));
      if (to_weight || to_bias) std::tie(dw, db) = gradients_of_weights(x, dy);
      if (dw.defined()) dw = dw.permute({3, 2, 0, 1});
    }
    return {dx, to_weight ? dw : Tensor(), to_bias ? db : Tensor()};
  }
};

bool is_plain(const Tensor& tensor) {
  return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided && !tensor.is_neg();
}

}  // namespace

bool takes_winograd_bf16(const Tensor& x, const Tensor& weight, const c10::optional<Tensor>& bias) {
  // Tiles of AMX, by oneDNN, are faster than this with vectors.
  const bool plain = has_bf16_vectors() && !has_bf16_tiles() && x.is_cpu() && x.dim() == 4 && x.layout() == at::kStrided && !x.is_neg() &&
                     (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) &&  // autocast leaves float64 as it is
                     is_plain(weight) && weight.dim() == 4 && weight.size(2) == 3 && weight.size(3) == 3 && weight.size(1) == x.size(1) &&
                     (!bias || !bias->defined() || (is_plain(*bias) && bias->dim() == 1 && bias->size(0) == weight.size(0)));
  if (!plain) return false;
  // With fewer channels the transforms of tiles cost more than they save, with fewer tiles those of weights.
  const int64_t least = std::min(weight.size(0), weight.size(1)), most = std::max(weight.size(0), weight.size(1));
  return least >= kLeastChannels && least % 16 == 0 && most % 16 == 0 && Grid{x.size(0), x.size(2), x.size(3)}.tiles() >= most;
}

Tensor winograd_bf16(const Tensor& x, const Tensor& weight, const c10::optional<Tensor>& bias) { return WinogradBf16::apply(x, weight, bias); }

#else

bool takes_winograd_bf16(const at::Tensor&, const at::Tensor&, const c10::optional<at::Tensor>&) { return false; }

at::Tensor winograd_bf16(const at::Tensor& x, const at::Tensor&, const c10::optional<at::Tensor>&) { return x; }

#endif

}  // namespace kernels
