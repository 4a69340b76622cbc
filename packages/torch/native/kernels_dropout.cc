// Dropout and the addition after it in one pass. libtorch's draws its mask with one serial generator and keeps it for the way
// back; here a mask is a hash of a seed and of each element's number, so that it is drawn by all cores, in vectors, and drawn
// again on the way back. Its bits do not depend on the number of threads.
#include "history.h"
#include "simd.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <mutex>

namespace {

using at::Tensor;
using kernels::Bf16;

constexpr int64_t kGrain = 32768;

struct Mask {
  uint64_t seed;
  double p;  // in float32 a share near one would be one

  uint32_t threshold() const { return static_cast<uint32_t>(p * 4294967296.0); }
  float scale() const { return static_cast<float>(1.0 / (1.0 - p)); }
  // The high half of an element's number goes into the key, since the hash takes the low half.
  uint32_t key(int64_t first) const { return static_cast<uint32_t>(seed) + 0x9e3779b9u * static_cast<uint32_t>(first >> 32); }
};

// Two rounds of multiply and shift: each bit of the input changes each bit of the output about half the time.
IQVAE_INLINE uint32_t mix(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  x ^= x >> 16;
  return x;
}
IQVAE_INLINE float kept(uint32_t number, uint32_t key, uint32_t second, uint32_t threshold, float scale) {
  return mix(mix(number ^ key) + second) >= threshold ? scale : 0.0f;
}

// y = x · mask + residual, for the elements from `first` on.
template <typename X, typename Y, bool kAdd>
IQVAE_INLINE void apply(const X* __restrict x, const Y* __restrict residual, Y* __restrict y, int64_t first, int64_t count, uint32_t key, uint32_t second,
                        uint32_t threshold, float scale) {
  const uint32_t start = static_cast<uint32_t>(first);
  for (int64_t i = 0; i < count; ++i) {
    const float value = kernels::load(x + i) * kept(start + static_cast<uint32_t>(i), key, second, threshold, scale);
    kernels::store(y + i, kAdd ? value + kernels::load(residual + i) : value);
  }
}
#define IQVAE_DROPOUT(NAME, X, Y, ADD)                                                                                                     \
  IQVAE_CLONES void NAME(const X* __restrict x, const Y* __restrict residual, Y* __restrict y, int64_t first, int64_t count, uint32_t key, \
                         uint32_t second, uint32_t threshold, float scale) {                                                               \
    apply<X, Y, ADD>(x, residual, y, first, count, key, second, threshold, scale);                                                         \
  }
IQVAE_DROPOUT(add_f32, float, float, true)
IQVAE_DROPOUT(add_bf16, Bf16, float, true)
IQVAE_DROPOUT(plain_f32, float, float, false)
IQVAE_DROPOUT(plain_bf16, Bf16, Bf16, false)
IQVAE_DROPOUT(narrow_bf16, float, Bf16, false)
#undef IQVAE_DROPOUT

template <typename X, typename Y>
using Kernel = void (*)(const X*, const Y*, Y*, int64_t, int64_t, uint32_t, uint32_t, uint32_t, float);

template <typename X, typename Y>
void run(Kernel<X, Y> kernel, const X* x, const Y* residual, Y* y, int64_t count, const Mask& mask) {
  if (y == nullptr) return;
  at::parallel_for(0, count, kGrain, [&](int64_t begin, int64_t end) {
    // Blocks end where the high half of the number changes.
    while (begin < end) {
      const int64_t stop = std::min(end, ((begin >> 32) + 1) << 32);
      kernel(x + begin, residual == nullptr ? nullptr : residual + begin, y + begin, begin, stop - begin, mask.key(begin),
             static_cast<uint32_t>(mask.seed >> 32), mask.threshold(), mask.scale());
      begin = stop;
    }
  });
}

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
        run<float, float>(add_f32, floats(x), floats(added), floats(y), x.numel(), mask);
      else
        run<Bf16, float>(add_bf16, bits(x), floats(added), floats(y), x.numel(), mask);
    } else {
      y = at::empty_like(x);
      if (wide)
        run<float, float>(plain_f32, floats(x), nullptr, floats(y), x.numel(), mask);
      else
        run<Bf16, Bf16>(plain_bf16, bits(x), nullptr, bits(y), x.numel(), mask);
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
      run<float, float>(plain_f32, floats(dy), nullptr, floats(dx), dy.numel(), mask);
    else if (added)
      run<float, Bf16>(narrow_bf16, floats(dy), nullptr, bits(dx), dy.numel(), mask);
    else
      run<Bf16, Bf16>(plain_bf16, bits(dy), nullptr, bits(dx), dy.numel(), mask);
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
