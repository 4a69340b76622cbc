// Optimizer steps over whole lists of tensors: on the CPU one pass over memory, elsewhere libtorch's foreach operators.
#include "history.h"
#include "loops_optim.h"
#include "parallel.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_addcdiv.h>
#include <ATen/ops/_foreach_addcmul.h>
#include <ATen/ops/_foreach_div.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_sqrt.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/norm.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/square.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/sum.h>
#include <torch/library.h>

#include <cmath>

namespace {

using at::Tensor;
using namespace kernels;

constexpr int64_t kGrain = 32768;

// Whether the tensors lie alike in memory, so that one index means one element in all.
bool is_flat(const Tensor& a) { return a.is_cpu() && a.scalar_type() == at::kFloat && a.is_non_overlapping_and_dense() && !a.is_neg(); }
bool lie_alike(const Tensor& a, const Tensor& b) { return is_flat(b) && a.sizes() == b.sizes() && a.strides() == b.strides(); }

// The gradient in the layout of its parameter.
Tensor laid_like(const Tensor& gradient, const Tensor& parameter) {
  if (lie_alike(parameter, gradient)) return gradient;
  return at::empty_like(parameter).copy_(gradient);
}

double step_size(double rate, double beta1, int64_t step) { return rate / (1.0 - std::pow(beta1, step)); }
double correction2(double beta2, int64_t step) { return std::sqrt(1.0 - std::pow(beta2, step)); }

void adamw_foreach(at::TensorList parameters, at::TensorList gradients, at::TensorList firsts, at::TensorList seconds,
                   const c10::optional<Tensor>& scale, double rate, double beta1, double beta2, double eps, double decay, at::IntArrayRef steps) {
  std::vector<Tensor> scaled = gradients.vec();
  for (Tensor& gradient : scaled) gradient = gradient.resolve_neg();
  if (scale)
    for (Tensor& gradient : scaled) gradient = gradient.mul(scale->squeeze().to(gradient.options()));
  std::vector<at::Scalar> corrections, sizes;
  for (const int64_t step : steps) {
    corrections.push_back(correction2(beta2, step));
    sizes.push_back(-step_size(rate, beta1, step));
  }
  at::_foreach_mul_(parameters, 1.0 - rate * decay);
  at::_foreach_mul_(firsts, beta1);
  at::_foreach_add_(firsts, scaled, 1.0 - beta1);
  at::_foreach_mul_(seconds, beta2);
  at::_foreach_addcmul_(seconds, scaled, scaled, 1.0 - beta2);
  std::vector<Tensor> roots = at::_foreach_sqrt(seconds);
  at::_foreach_div_(roots, corrections);
  at::_foreach_add_(roots, eps);
  at::_foreach_addcdiv_(parameters, firsts, roots, sizes);
}

// All of it before anything is written: a step is made whole or not at all.
void check_adamw(at::TensorList parameters, at::TensorList gradients, at::TensorList firsts, at::TensorList seconds,
                 const c10::optional<Tensor>& scale, at::IntArrayRef steps) {
  const size_t count = parameters.size();
  TORCH_CHECK(gradients.size() == count && firsts.size() == count && seconds.size() == count && steps.size() == count,
              "adamw_: parameters, gradients, moments and steps must be equally many, but are ", count, ", ", gradients.size(), ", ",
              firsts.size(), ", ", seconds.size(), " and ", steps.size());
  TORCH_CHECK(!scale || (scale->numel() == 1 && scale->is_floating_point()), "adamw_ expects a scale of one fraction, but got ",
              scale->scalar_type(), " ", scale->sizes());
  kernels::check_constant("adamw_", gradients);
  kernels::check_one_device("adamw_", parameters);
  kernels::check_constant("adamw_", {kernels::or_none(scale)});
  for (size_t i = 0; i < count; ++i) {
    const Tensor &parameter = parameters[i], &gradient = gradients[i];
    TORCH_CHECK(steps[i] > 0, "adamw_ expects the number of each update, from 1 on, but got ", steps[i]);
    kernels::check_one_device("adamw_", {parameter, gradient, firsts[i], seconds[i]});
    for (const Tensor& each : {gradient, firsts[i], seconds[i]})
      TORCH_CHECK(each.sizes() == parameter.sizes() && each.scalar_type() == parameter.scalar_type() && each.layout() == at::kStrided,
                  "adamw_ expects gradients and moments as their parameter, dense ", parameter.scalar_type(), " ", parameter.sizes(), ", but got ",
                  each.scalar_type(), " ", each.sizes());
    TORCH_CHECK(!parameter.is_neg() && !firsts[i].is_neg() && !seconds[i].is_neg(), "adamw_ cannot write to a negated view: resolve_neg() it");
    TORCH_CHECK(!scale || scale->is_meta() == parameter.is_meta(), "adamw_ got a scale on ", scale->device(), " for a parameter on ", parameter.device());
    TORCH_CHECK(!parameter.is_cpu() || parameter.scalar_type() != at::kHalf, "adamw_ cannot compute in Half on the CPU; keep weights in float32");
    TORCH_CHECK(parameter.is_floating_point(), "adamw_ expects parameters of real fractions, but got ", parameter.scalar_type());
    kernels::check_writable("adamw_", parameter, {gradient, firsts[i], seconds[i]});
    kernels::check_writable("adamw_", firsts[i], {gradient, seconds[i]});
    kernels::check_writable("adamw_", seconds[i], {gradient});
  }
}

void adamw(at::TensorList parameters, at::TensorList gradients, at::TensorList firsts, at::TensorList seconds,
           const c10::optional<Tensor>& scale, double rate, double beta1, double beta2, double eps, double decay, at::IntArrayRef steps) {
  check_adamw(parameters, gradients, firsts, seconds, scale, steps);
  if (parameters.empty() || parameters[0].is_meta()) return;
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (is_flat(parameters[i]) && lie_alike(parameters[i], firsts[i]) && lie_alike(parameters[i], seconds[i])) continue;
    return adamw_foreach(parameters, gradients, firsts, seconds, scale, rate, beta1, beta2, eps, decay, steps);
  }
  const auto narrow = [](double value) { return static_cast<float>(value); };
  AdamSettings settings{scale ? scale->item<float>() : 1.0f,
                        narrow(beta1), narrow(1.0 - beta1), narrow(beta2), narrow(1.0 - beta2), narrow(eps), narrow(1.0 - rate * decay), 0, 0};
  for (size_t i = 0; i < parameters.size(); ++i) {
    settings.step_size = narrow(step_size(rate, beta1, steps[i]));
    settings.correction2 = narrow(correction2(beta2, steps[i]));
    const Tensor gradient = laid_like(gradients[i], parameters[i]);
    float* p = parameters[i].data_ptr<float>();
    const float* g = gradient.data_ptr<float>();
    float* m = firsts[i].data_ptr<float>();
    float* v = seconds[i].data_ptr<float>();
    parallel_for(0, parameters[i].numel(), kGrain, [&](int64_t begin, int64_t end) {
      best<adamw_range>(p + begin, g + begin, m + begin, v + begin, end - begin, settings);
    });
    for (const Tensor& written : {parameters[i], firsts[i], seconds[i]}) kernels::note_change(written);
  }
}

// a ← a + weight·(b − a) for every pair.
void lerp(at::TensorList averages, at::TensorList targets, double weight) {
  TORCH_CHECK(averages.size() == targets.size(), "lerp_: averages and targets must be equally many, but are ", averages.size(), " and ",
              targets.size());
  kernels::check_one_device("lerp_", averages);
  for (size_t i = 0; i < averages.size(); ++i) {
    const Tensor &average = averages[i], &target = targets[i];
    TORCH_CHECK(average.sizes() == target.sizes() && average.scalar_type() == target.scalar_type(), "lerp_ expects each target as its average, ",
                average.scalar_type(), " ", average.sizes(), ", but got ", target.scalar_type(), " ", target.sizes());
    kernels::check_one_device("lerp_", {average, target});
    kernels::check_constant("lerp_", {target});
    TORCH_CHECK(target.layout() == at::kStrided, "lerp_ expects dense targets, but got the layout ", target.layout());
    kernels::check_writable("lerp_", average, {target});
  }
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
    parallel_for(0, average.numel(), kGrain,
                     [&](int64_t begin, int64_t end) { best<lerp_range>(a + begin, b + begin, end - begin, static_cast<float>(weight)); });
    note_change(average);
  }
}

// The Euclidean norm of all tensors as one vector, float64 where one of them is, else float32. It has the same bits for any number of threads.
Tensor global_norm(at::TensorList tensors) {
  kernels::check_constant("global_norm", tensors);
  kernels::check_one_device("global_norm", tensors);
  at::ScalarType kind = at::kFloat;
  for (const Tensor& tensor : tensors) {
    TORCH_CHECK(tensor.is_floating_point() && tensor.layout() == at::kStrided, "global_norm expects dense tensors of real fractions, but got ",
                tensor.layout(), " ", tensor.scalar_type());
    if (tensor.scalar_type() == at::kDouble) kind = at::kDouble;
  }
  if (!tensors.empty() && tensors[0].is_meta()) return at::empty({}, tensors[0].options().dtype(kind));
  at::NoGradGuard no_grad;
  constexpr int64_t kBlock = 4096;
  struct Block {
    const float* values;
    int64_t count;
  };
  std::vector<Block> blocks;
  double total = 0;
  for (const Tensor& tensor : tensors) {
    if (!is_flat(tensor)) {
      if (tensor.is_cpu()) {
        total += at::sum(at::square(tensor.to(at::kDouble))).item<double>();
        continue;
      }
      std::vector<Tensor> norms;
      for (const Tensor& each : tensors) norms.push_back(at::norm(each.to(kind)));
      return at::norm(at::stack(norms));
    }
    const float* values = tensor.data_ptr<float>();
    for (int64_t begin = 0; begin < tensor.numel(); begin += kBlock)
      blocks.push_back({values + begin, std::min(kBlock, tensor.numel() - begin)});
  }
  std::vector<double> sums(blocks.size());
  parallel_for(0, static_cast<int64_t>(blocks.size()), kGrain / kBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sums[i] = best<squares_of_block>(blocks[i].values, blocks[i].count);
  });
  for (const double sum : sums) total += sum;
  // What float32 cannot hold is infinite by this way, and an error by the direct one.
  return at::scalar_tensor(std::sqrt(total), at::TensorOptions().dtype(at::kDouble)).to(kind);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(fused, m) {
  m.def(
      "adamw_(Tensor(a!)[] parameters, Tensor[] gradients, Tensor(b!)[] firsts, Tensor(c!)[] seconds, Tensor? scale, float rate, "
      "float beta1, float beta2, float eps, float decay, int[] steps) -> ()",
      adamw);
  m.def("lerp_(Tensor(a!)[] averages, Tensor[] targets, float weight) -> ()", lerp);
  m.def("global_norm(Tensor[] tensors) -> Tensor", global_norm);
}
