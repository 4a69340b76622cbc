// Group normalization followed by SiLU, forward and backward in one kernel each, for `channels_last` images in float32 or
// bfloat16 on the CPU; those of CUDA devices are in cuda/norm.cc. libtorch 1.13 has neither the layout nor bfloat16 input with
// float32 weights, and takes three passes.
#include "cuda/norm.h"
#include "history.h"
#include "loops_norm.h"
#include "parallel.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <vector>

namespace {

using at::Tensor;
using namespace kernels;

struct Shape {
  int64_t rows, channels, groups;  // rows: H·W of one image
};

// The affine map of one image from its statistics: a = rstd·γ, b = β − mean·a.
void affine_coefficients(const Shape& shape, const float* mean, const float* rstd, const float* gamma, const float* beta, float* a, float* b) {
  const int64_t width = shape.channels / shape.groups;
  for (int64_t c = 0; c < shape.channels; ++c) {
    a[c] = rstd[c / width] * gamma[c];
    b[c] = beta[c] - mean[c / width] * a[c];
  }
}

template <typename T>
void forward_images(const T* x, T* y, float* mean, float* rstd, const float* gamma, const float* beta, int64_t images, const Shape& shape,
                    double eps, bool silu) {
  const int64_t channels = shape.channels, width = channels / shape.groups, size = shape.rows * channels;
  parallel_for(0, images, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(channels * 5);
    std::vector<double> totals(channels * 2);
    float *sum = scratch.data(), *square = sum + channels, *a = square + channels, *b = a + channels, *shift = b + channels;
    for (int64_t i = begin; i < end; ++i) {
      std::fill(totals.begin(), totals.end(), 0.0);
      for (int64_t c = 0; c < channels; ++c) shift[c] = load(x + i * size + c);
      for (int64_t r = 0; r < shape.rows; r += 128) {
        best<channel_sums<T>>(x + i * size + r * channels, std::min<int64_t>(128, shape.rows - r), channels, shift, sum, square);
        for (int64_t c = 0; c < channels; ++c) {
          totals[c] += sum[c];
          totals[channels + c] += square[c];
        }
      }
      for (int64_t g = 0; g < shape.groups; ++g) {
        const double rows = static_cast<double>(shape.rows);
        double average = 0, squares = 0;  // of the group: its mean, and Σ (x − mean)² within and between its channels
        for (int64_t c = g * width; c < (g + 1) * width; ++c) average += shift[c] + totals[c] / rows;
        average /= static_cast<double>(width);
        for (int64_t c = g * width; c < (g + 1) * width; ++c) {
          const double apart = shift[c] + totals[c] / rows - average;
          squares += totals[channels + c] - totals[c] * totals[c] / rows + rows * apart * apart;
        }
        const double variance = std::max(squares / (rows * static_cast<double>(width)), 0.0);
        mean[i * shape.groups + g] = static_cast<float>(average);
        rstd[i * shape.groups + g] = static_cast<float>(1.0 / std::sqrt(variance + eps));
      }
      affine_coefficients(shape, mean + i * shape.groups, rstd + i * shape.groups, gamma, beta, a, b);
      best<affine<T>>(x + i * size, y + i * size, shape.rows, channels, a, b, silu);
    }
  });
}

template <typename T>
void backward_images(const T* x, const T* dy, T* dx, const float* mean, const float* rstd, const float* gamma, const float* beta,
                     float* dgamma, float* dbeta, int64_t images, const Shape& shape, bool silu) {
  const int64_t channels = shape.channels, width = channels / shape.groups, size = shape.rows * channels;
  // The choice stands outside the loop: a branch within keeps it from being vectorized.
  const auto gradients = silu ? best<gradient_sums<true, T>> : best<gradient_sums<false, T>>;
  parallel_for(0, images, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(channels * 8), dz(size);
    float *a = scratch.data(), *b = a + channels, *sum = b + channels, *product = sum + channels;
    float *p = product + channels, *q = p + channels, *s = q + channels, *center = s + channels;
    for (int64_t i = begin; i < end; ++i) {
      const float *m = mean + i * shape.groups, *inverse = rstd + i * shape.groups;
      affine_coefficients(shape, m, inverse, gamma, beta, a, b);
      for (int64_t c = 0; c < channels; ++c) center[c] = m[c / width];
      gradients(x + i * size, dy + i * size, dz.data(), shape.rows, channels, a, b, center, sum, product);
      for (int64_t g = 0; g < shape.groups; ++g) {
        double weighted = 0, correlated = 0;  // Σ γ·dz and Σ γ·dz·x̂ over the group
        for (int64_t c = g * width; c < (g + 1) * width; ++c) {
          const double centered = static_cast<double>(product[c]) * inverse[g];
          dgamma[i * channels + c] = static_cast<float>(centered);
          dbeta[i * channels + c] = sum[c];
          weighted += gamma[c] * sum[c];
          correlated += gamma[c] * centered;
        }
        const double count = static_cast<double>(width * shape.rows);
        const float slope = static_cast<float>(-inverse[g] * inverse[g] * correlated / count);
        const float offset = static_cast<float>(-inverse[g] * weighted / count) - slope * m[g];
        for (int64_t c = g * width; c < (g + 1) * width; ++c) {
          p[c] = a[c];
          q[c] = slope;
          s[c] = offset;
        }
      }
      best<input_gradient<T>>(x + i * size, dz.data(), dx + i * size, shape.rows, channels, p, q, s);
    }
  });
}

Shape shape_of(const Tensor& x, int64_t groups) { return {x.size(2) * x.size(3), x.size(1), groups}; }
const Bf16* bits(const Tensor& tensor) { return reinterpret_cast<const Bf16*>(tensor.data_ptr<at::BFloat16>()); }
Bf16* bits(Tensor& tensor) { return reinterpret_cast<Bf16*>(tensor.data_ptr<at::BFloat16>()); }

// The gradients by operators that have derivatives themselves.
torch::autograd::tensor_list composed_backward(const Tensor& x, const Tensor& dy, const Tensor& weight, const Tensor& bias, const Shape& shape,
                                               double eps, bool silu) {
  const auto by_group = [&](const Tensor& tensor) { return tensor.reshape({x.size(0), shape.groups, -1}); };
  const auto by_channel = [](const Tensor& tensor) { return tensor.reshape({1, -1, 1, 1}); };
  const Tensor images = by_group(x.to(at::kFloat));
  const Tensor centered = images.sub(images.mean(2, true));
  const Tensor rstd = centered.square().mean(2, true).add(eps).rsqrt(), normal = centered.mul(rstd);
  const Tensor planes = normal.reshape(x.sizes());
  Tensor dz = dy.to(at::kFloat);
  if (silu) {
    const Tensor z = planes.mul(by_channel(weight)).add(by_channel(bias)), gate = z.sigmoid();
    dz = dz.mul(gate).mul(z.mul(gate.neg().add(1)).add(1));
  }
  const Tensor slopes = by_group(dz.mul(by_channel(weight)));
  const Tensor inner = slopes.sub(slopes.mean(2, true)).sub(normal.mul(normal.mul(slopes).mean(2, true)));
  const Tensor dx = inner.mul(rstd).reshape(x.sizes()).to(x.scalar_type());
  return {dx, dz.mul(planes).sum({0, 2, 3}), dz.sum({0, 2, 3}), Tensor(), Tensor(), Tensor()};
}

struct FusedNorm : torch::autograd::Function<FusedNorm> {
  // x comes in channels_last: a copy made in here would be saved without its history, which second derivatives need.
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t groups,
                        double eps, bool silu) {
    Tensor y = at::empty_like(x, x.options(), at::MemoryFormat::ChannelsLast);
    Tensor mean = at::empty({x.size(0), groups}, weight.options()), rstd = at::empty_like(mean);
    context->save_for_backward({x, weight, bias, mean, rstd});
    context->saved_data["groups"] = groups;
    context->saved_data["eps"] = eps;
    context->saved_data["silu"] = silu;
    if (x.is_meta()) return y;
    if (x.is_cuda()) {
      cuda_kernels::normalize(x, weight, bias, eps, silu, y, mean, rstd);
      return y;
    }
    const Shape shape = shape_of(x, groups);
    const float *gamma = weight.data_ptr<float>(), *beta = bias.data_ptr<float>();
    if (x.scalar_type() == at::kFloat)
      forward_images(x.data_ptr<float>(), y.data_ptr<float>(), mean.data_ptr<float>(), rstd.data_ptr<float>(), gamma, beta, x.size(0), shape, eps, silu);
    else
      forward_images(bits(x), bits(y), mean.data_ptr<float>(), rstd.data_ptr<float>(), gamma, beta, x.size(0), shape, eps, silu);
    return y;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context, torch::autograd::tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &bias = saved[2], &mean = saved[3], &rstd = saved[4];
    const Shape shape = shape_of(x, context->saved_data["groups"].toInt());
    const bool silu = context->saved_data["silu"].toBool();
    // What the kernel computes has no graph: second derivatives would silently be zero.
    if (at::GradMode::is_enabled()) return composed_backward(x, gradients[0], weight, bias, shape, context->saved_data["eps"].toDouble(), silu);
    const Tensor dy = gradients[0].to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast).resolve_neg();
    Tensor dx = at::empty_like(x, x.options(), at::MemoryFormat::ChannelsLast);
    Tensor dgamma = at::empty({x.size(0), shape.channels}, weight.options()), dbeta = at::empty_like(dgamma);
    if (x.is_meta()) return {dx, dgamma.sum(0), dbeta.sum(0), Tensor(), Tensor(), Tensor()};
    if (x.is_cuda()) {
      cuda_kernels::normalize_backward(x, dy, weight, bias, mean, rstd, silu, dx, dgamma, dbeta);
      return {dx, dgamma.sum(0), dbeta.sum(0), Tensor(), Tensor(), Tensor()};
    }
    const float *gamma = weight.data_ptr<float>(), *beta = bias.data_ptr<float>();
    if (x.scalar_type() == at::kFloat)
      backward_images(x.data_ptr<float>(), dy.data_ptr<float>(), dx.data_ptr<float>(), mean.data_ptr<float>(), rstd.data_ptr<float>(), gamma, beta,
                      dgamma.data_ptr<float>(), dbeta.data_ptr<float>(), x.size(0), shape, silu);
    else
      backward_images(bits(x), bits(dy), bits(dx), mean.data_ptr<float>(), rstd.data_ptr<float>(), gamma, beta, dgamma.data_ptr<float>(),
                      dbeta.data_ptr<float>(), x.size(0), shape, silu);
    return {dx, dgamma.sum(0), dbeta.sum(0), Tensor(), Tensor(), Tensor()};
  }
};

Tensor group_norm_silu(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t groups, double eps, bool silu) {
  TORCH_CHECK(x.dim() >= 2, "group_norm_silu expects [B, C, …], but got ", x.dim(), " dimensions");
  TORCH_CHECK(groups > 0 && x.size(1) % groups == 0, x.size(1), " channels do not divide into ", groups, " groups");
  TORCH_CHECK(weight.dim() == 1 && weight.size(0) == x.size(1) && bias.sizes() == weight.sizes(), "group_norm_silu of ", x.size(1),
              " channels expects as many weights and biases, but got ", weight.sizes(), " and ", bias.sizes());
  TORCH_CHECK(x.is_floating_point() && weight.is_floating_point() && bias.is_floating_point(), "group_norm_silu expects real fractions, but got ",
              x.scalar_type(), " with weights of ", weight.scalar_type(), " and biases of ", bias.scalar_type());
  TORCH_CHECK(x.layout() == at::kStrided && weight.layout() == at::kStrided && bias.layout() == at::kStrided,
              "group_norm_silu expects dense tensors, but got the layouts ", x.layout(), ", ", weight.layout(), " and ", bias.layout());
  kernels::check_one_device("group_norm_silu", {x, weight, bias});
  const bool covered = x.is_cpu() || x.is_meta() || cuda_kernels::can_normalize(x);
  const bool fused = covered && x.dim() == 4 && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) && weight.scalar_type() == at::kFloat &&
                     bias.scalar_type() == at::kFloat && weight.is_contiguous() && bias.is_contiguous() && !weight.is_neg() && !bias.is_neg() && x.numel() > 0;
  if (fused) return FusedNorm::apply(x.contiguous(at::MemoryFormat::ChannelsLast).resolve_neg(), weight, bias, groups, eps, silu);
  const Tensor wide = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  const Tensor normal = at::group_norm(wide, groups, weight.to(wide.scalar_type()), bias.to(wide.scalar_type()), eps);
  return (silu ? at::silu(normal) : normal).to(x.scalar_type());
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(fused, m) {
  m.def("group_norm_silu(Tensor x, Tensor weight, Tensor bias, int groups, float eps, bool silu) -> Tensor", group_norm_silu);
}
