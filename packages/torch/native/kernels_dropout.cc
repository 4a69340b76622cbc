// Dropout and the addition after it in one pass. libtorch's draws its mask with one serial generator and keeps it for the way
// back; here a mask is a hash of a seed and of each element's number, so that it is drawn by all cores, in vectors, and drawn
// again on the way back. Its bits do not depend on the number of threads.
#include "history.h"
#include "loops_dropout.h"
#include "parallel.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <mutex>

namespace {

using at::Tensor;
using namespace kernels;

constexpr int64_t kGrain = 32768;

struct Mask {
  uint64_t seed;
  double p;  // in float32 a share near one would be one

  uint32_t threshold() const { return static_cast<uint32_t>(p * 4294967296.0); }
  float scale() const { return static_cast<float>(1.0 / (1.0 - p)); }
  // The high half of an element's number goes into the key, since the hash takes the low half.
  uint32_t key(int64_t first) const { return static_cast<uint32_t>(seed) + 0x9e3779b9u * static_cast<uint32_t>(first >> 32); }
};

template <typename X, typename Y, bool kAdd>
void run(const X* x, const Y* residual, Y* y, int64_t count, const Mask& mask) {
  if (y == nullptr) return;
  parallel_for(0, count, kGrain, [&](int64_t begin, int64_t end) {
    // Blocks end where the high half of the number changes.
    while (begin < end) {
      const int64_t stop = std::min(end, ((begin >> 32) + 1) << 32);
      best<apply_mask<X, Y, kAdd>>(x + begin, kAdd ? residual + begin : nullptr, y + begin, begin, stop - begin, mask.key(begin),
                                       static_cast<uint32_t>(mask.seed >> 32), mask.threshold(), mask.scale());
      begin = stop;
    }
  });
}
template <typename X, typename Y>
void add(const X* x, const Y* residual, Y* y, int64_t count, const Mask& mask) { run<X, Y, true>(x, residual, y, count, mask); }
template <typename X, typename Y>
void plain(const X* x, Y* y, int64_t count, const Mask& mask) { run<X, Y, false>(x, nullptr, y, count, mask); }

// Null on the meta device, where nothing is computed.
template <typename T>
T* data_of(const Tensor& tensor) {
  return tensor.is_meta() ? nullptr : tensor.data_ptr<T>();
}
const float* floats(const Tensor& tensor) { return data_of<float>(tensor); }
const Bf16* bits(const Tensor& tensor) { return reinterpret_cast<const Bf16*>(data_of<at::BFloat16>(tensor)); }
float* floats(Tensor& tensor) { return data_of<float>(tensor); }
Bf16* bits(Tensor& tensor) { return reinterpret_cast<Bf16*>(data_of<at::BFloat16>(tensor)); }

struct DropoutAdd : torch::autograd::Function<DropoutAdd> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input, const c10::optional<Tensor>& residual, double p, int64_t seed) {
    const Tensor x = input.contiguous().resolve_neg();
    const bool wide = x.scalar_type() == at::kFloat;
    const Mask mask{static_cast<uint64_t>(seed), p};
    Tensor y;
    if (residual) {
      const Tensor added = residual->contiguous().resolve_neg();
      y = at::empty_like(added);
      if (wide)
        add(floats(x), floats(added), floats(y), x.numel(), mask);
      else
        add(bits(x), floats(added), floats(y), x.numel(), mask);
    } else {
      y = at::empty_like(x);
      if (wide)
        plain(floats(x), floats(y), x.numel(), mask);
      else
        plain(bits(x), bits(y), x.numel(), mask);
    }
    context->saved_data["p"] = p;
    context->saved_data["seed"] = seed;
    context->saved_data["wide"] = wide;
    context->saved_data["residual"] = residual.has_value();
    return y;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context, torch::autograd::tensor_list gradients) {
    // What the kernel computes has no graph: second derivatives would silently be zero.
    TORCH_CHECK(!at::GradMode::is_enabled(), "dropout_add has no second derivative; compose aten::dropout and aten::add for createGraph");
    const bool wide = context->saved_data["wide"].toBool(), added = context->saved_data["residual"].toBool();
    const Mask mask{static_cast<uint64_t>(context->saved_data["seed"].toInt()), context->saved_data["p"].toDouble()};
    const Tensor dy = gradients[0].to(wide || added ? at::kFloat : at::kBFloat16).contiguous().resolve_neg();
    Tensor dx = at::empty(dy.sizes(), dy.options().dtype(wide ? at::kFloat : at::kBFloat16));
    if (wide)
      plain(floats(dy), floats(dx), dy.numel(), mask);
    else if (added)
      plain(floats(dy), bits(dx), dy.numel(), mask);
    else
      plain(bits(dy), bits(dx), dy.numel(), mask);
    return {dx, added ? gradients[0] : Tensor(), Tensor(), Tensor()};
  }
};

// From the default generator, so that a seed and a restored state repeat the masks.
int64_t draw_seed() {
  auto* generator = at::check_generator<at::CPUGeneratorImpl>(at::detail::getDefaultCPUGenerator());
  std::lock_guard<std::mutex> lock(generator->mutex_);
  return static_cast<int64_t>(generator->random64());
}

Tensor dropout_add(const Tensor& x, const c10::optional<Tensor>& residual, double p) {
  TORCH_CHECK(p >= 0 && p < 1, "dropout_add expects a share of at least 0 and below 1, but got ", p);
  TORCH_CHECK(!residual || residual->sizes() == x.sizes(), "dropout_add expects a residual of the same shape as x, ", x.sizes(), ", but got ",
              residual ? residual->sizes() : x.sizes());
  TORCH_CHECK(x.layout() == at::kStrided && (!residual || residual->layout() == at::kStrided), "dropout_add expects dense tensors, but got the layout ",
              x.layout(), " with a residual of ", residual ? residual->layout() : x.layout());
  kernels::check_one_device("dropout_add", {x, kernels::or_none(residual)});
  const bool narrow = x.scalar_type() == at::kBFloat16;
  const bool fused = p > 0 && (x.is_cpu() || x.is_meta()) && (narrow || x.scalar_type() == at::kFloat) && (!residual || (residual->device() == x.device() && residual->scalar_type() == at::kFloat));
  if (fused) return DropoutAdd::apply(x, residual, p, draw_seed());
  const Tensor dropped = at::dropout(x, p, true);
  return residual ? at::add(dropped, *residual) : dropped;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(fused, m) { m.def("dropout_add(Tensor x, Tensor? residual, float p) -> Tensor", dropout_add); }
