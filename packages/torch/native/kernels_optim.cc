// Optimizer steps over whole lists of tensors: on the CPU one pass over memory, elsewhere libtorch's foreach operators.
#include "simd.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <cmath>

namespace {

using at::Tensor;
constexpr int64_t kGrain = 32768;

// Whether the tensors lie alike in memory, so that one index means one element in all.
bool is_flat(const Tensor& a) { return a.is_cpu() && a.scalar_type() == at::kFloat && a.is_non_overlapping_and_dense(); }
bool lie_alike(const Tensor& a, const Tensor& b) { return is_flat(b) && a.sizes() == b.sizes() && a.strides() == b.strides(); }

// Lets autograd notice a write that went past it: a backward pass that still needs the old values must fail, not mislead.
void note_change(const Tensor& written) {
  if (!written.is_inference()) written.unsafeGetTensorImpl()->bump_version();
}

// The gradient in the layout of its parameter.
Tensor laid_like(const Tensor& gradient, const Tensor& parameter) {
  if (lie_alike(parameter, gradient)) return gradient;
  return at::empty_like(parameter).copy_(gradient);
}

struct AdamSettings {
  float scale, beta1, beta2, eps, decay, step_size, correction2;
};

IQVAE_CLONES void adamw_range(float* __restrict p, const float* __restrict g, float* __restrict m, float* __restrict v, int64_t count,
                              AdamSettings s) {
  for (int64_t i = 0; i < count; ++i) {
    const float gradient = g[i] * s.scale;
    const float first = s.beta1 * m[i] + (1.0f - s.beta1) * gradient;
    const float second = s.beta2 * v[i] + (1.0f - s.beta2) * gradient * gradient;
    m[i] = first;
    v[i] = second;
    p[i] = p[i] * s.decay - s.step_size * first / (std::sqrt(second) / s.correction2 + s.eps);
  }
}

void adamw_foreach(at::TensorList parameters, at::TensorList gradients, at::TensorList firsts, at::TensorList seconds,
                   const c10::optional<Tensor>& scale, double rate, double beta1, double beta2, double eps, double decay, int64_t step) {
  std::vector<Tensor> scaled = gradients.vec();
  if (scale)
    for (Tensor& gradient : scaled) gradient = gradient * *scale;
  at::_foreach_mul_(parameters, 1.0 - rate * decay);
  at::_foreach_mul_(firsts, beta1);
  at::_foreach_add_(firsts, scaled, 1.0 - beta1);
  at::_foreach_mul_(seconds, beta2);
  at::_foreach_addcmul_(seconds, scaled, scaled, 1.0 - beta2);
  std::vector<Tensor> roots = at::_foreach_sqrt(seconds);
  at::_foreach_div_(roots, std::sqrt(1.0 - std::pow(beta2, step)));
  at::_foreach_add_(roots, eps);
  at::_foreach_addcdiv_(parameters, firsts, roots, -rate / (1.0 - std::pow(beta1, step)));
}

void adamw(at::TensorList parameters, at::TensorList gradients, at::TensorList firsts, at::TensorList seconds,
           const c10::optional<Tensor>& scale, double rate, double beta1, double beta2, double eps, double decay, int64_t step) {
  const size_t count = parameters.size();
  TORCH_CHECK(gradients.size() == count && firsts.size() == count && seconds.size() == count,
              "adamw_: parameters, gradients and moments must be equally many");
  if (count == 0 || parameters[0].is_meta()) return;
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < count; ++i) {
    if (is_flat(parameters[i]) && lie_alike(parameters[i], firsts[i]) && lie_alike(parameters[i], seconds[i])) continue;
    return adamw_foreach(parameters, gradients, firsts, seconds, scale, rate, beta1, beta2, eps, decay, step);
  }
  const AdamSettings settings{scale ? scale->item<float>() : 1.0f,
                              static_cast<float>(beta1),
                              static_cast<float>(beta2),
                              static_cast<float>(eps),
                              static_cast<float>(1.0 - rate * decay),
                              static_cast<float>(rate / (1.0 - std::pow(beta1, step))),
                              static_cast<float>(std::sqrt(1.0 - std::pow(beta2, step)))};
  for (size_t i = 0; i < count; ++i) {
    const Tensor gradient = laid_like(gradients[i], parameters[i]);
    float* p = parameters[i].data_ptr<float>();
    const float* g = gradient.data_ptr<float>();
    float* m = firsts[i].data_ptr<float>();
    float* v = seconds[i].data_ptr<float>();
    at::parallel_for(0, parameters[i].numel(), kGrain, [&](int64_t begin, int64_t end) {
      adamw_range(p + begin, g + begin, m + begin, v + begin, end - begin, settings);
    });
    for (const Tensor& written : {parameters[i], firsts[i], seconds[i]}) note_change(written);
  }
}

IQVAE_CLONES void lerp_range(float* __restrict a, const float* __restrict b, int64_t count, float weight) {
  for (int64_t i = 0; i < count; ++i) a[i] += weight * (b[i] - a[i]);
}

// a ← a + weight·(b − a) for every pair.
void lerp(at::TensorList averages, at::TensorList targets, double weight) {
  TORCH_CHECK(averages.size() == targets.size(), "lerp_: averages and targets must be equally many");
  if (!averages.empty() && averages[0].is_meta()) return;
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < averages.size(); ++i) {
    const Tensor& average = averages[i];
    if (!is_flat(average) || !lie_alike(average, targets[i])) {
      average.lerp_(targets[i], weight);
      continue;
    }
    float* a = average.data_ptr<float>();
    const float* b = targets[i].data_ptr<float>();
    at::parallel_for(0, average.numel(), kGrain,
                     [&](int64_t begin, int64_t end) { lerp_range(a + begin, b + begin, end - begin, static_cast<float>(weight)); });
    note_change(average);
  }
}

// The sum over a block stays in float32, as 16 lanes that the compiler keeps in one register; blocks add up in double.
IQVAE_CLONES float squares_of_block(const float* values, int64_t count) {
  float lanes[16] = {};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int k = 0; k < 16; ++k) lanes[k] += values[i + k] * values[i + k];
  float sum = 0;
  for (; i < count; ++i) sum += values[i] * values[i];
  for (float lane : lanes) sum += lane;
  return sum;
}

// The Euclidean norm of all tensors as one vector.
Tensor global_norm(at::TensorList tensors) {
  if (!tensors.empty() && tensors[0].is_meta()) return at::empty({}, tensors[0].options());
  at::NoGradGuard no_grad;
  double total = 0;
  for (const Tensor& tensor : tensors) {
    if (!is_flat(tensor)) {
      if (tensor.is_cpu()) {
        total += at::sum(at::square(tensor.to(at::kDouble))).item<double>();
        continue;
      }
      std::vector<Tensor> norms;
      for (const Tensor& each : tensors) norms.push_back(at::norm(each.to(at::kFloat)));
      return at::norm(at::stack(norms));
    }
    const float* values = tensor.data_ptr<float>();
    for (int64_t begin = 0; begin < tensor.numel(); begin += 4096)
      total += squares_of_block(values + begin, std::min<int64_t>(4096, tensor.numel() - begin));
  }
  return at::scalar_tensor(std::sqrt(total), at::TensorOptions().dtype(at::kFloat));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(fused, m) {
  m.def(
      "adamw_(Tensor(a!)[] parameters, Tensor[] gradients, Tensor(b!)[] firsts, Tensor(c!)[] seconds, Tensor? scale, float rate, "
      "float beta1, float beta2, float eps, float decay, int step) -> ()",
      adamw);
  m.def("lerp_(Tensor(a!)[] averages, Tensor[] targets, float weight) -> ()", lerp);
  m.def("global_norm(Tensor[] tensors) -> Tensor", global_norm);
}
