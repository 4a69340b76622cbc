// One token at a time: what a transformer does when it samples with a cache of keys and values. On the CPU the plain operators
// spend their time on hand-over between dozens of tiny products; here a layer is six calls, each one pass over the weights
// or the cache. Activations are float32; weights and caches may be bfloat16, which halves what is read.
//
// Every row is summed in the same order whatever stands beside it: a sequence comes out equal to the bit in any batch.
#include "history.h"
#include "loops_decode.h"
#include "parallel.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

using at::Tensor;
using namespace kernels;

bool is_flat(const Tensor& tensor, at::ScalarType type) {
  return tensor.is_cpu() && tensor.is_contiguous() && tensor.scalar_type() == type && !tensor.is_neg();
}

template <typename T>
void attend_all(const Tensor& qkv, const Tensor& prefix_k, const Tensor& prefix_v, Tensor& own_k, Tensor& own_v, const Tensor& of, Tensor& out,
                Sizes s) {
  auto at = [](const Tensor& tensor) { return static_cast<T*>(tensor.data_ptr()); };
  const int64_t B = qkv.size(0), H = s.heads, D = s.features, width = H * D;
  const int64_t* prefix_of = of.data_ptr<int64_t>();
  const T *pk = at(prefix_k), *pv = at(prefix_v);
  T *ok = at(own_k), *ov = at(own_v);
  const float* in = qkv.data_ptr<float>();
  float* o = out.data_ptr<float>();
  // Head by head, so that samples of one condition find its prefix in the cache of the processor.
  parallel_for(0, H * B, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scores(s.prefix + s.position + 1), q(D);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t h = i / B, b = i % B;
      const int64_t shared = (prefix_of[b] * H + h) * D * s.prefix, own = (b * H + h) * D * s.capacity;
      best<attend_one<T>>(in + b * 3 * width + h * D, pk + shared, pv + shared, ok + own, ov + own, o + b * width + h * D, s, scores.data(), q.data());
    }
  });
}

Tensor attend_plainly(const Tensor& qkv, const Tensor& prefix_k, const Tensor& prefix_v, Tensor& own_k, Tensor& own_v, const Tensor& of,
                      Sizes s) {
  const int64_t B = qkv.size(0), past = s.position;
  const auto type = own_k.scalar_type();
  const auto parts = qkv.reshape({B, 3, s.heads, s.features}).unbind(1);  // each [B, H, D]
  const Tensor key = parts[1].to(type).unsqueeze(3), value = parts[2].to(type).unsqueeze(2);
  const Tensor keys = at::cat({prefix_k.index_select(0, of), own_k.slice(3, 0, past), key}, 3);
  const Tensor values = at::cat({prefix_v.index_select(0, of), own_v.slice(2, 0, past), value}, 2);
  const Tensor q = parts[0].unsqueeze(2).div(std::sqrt(static_cast<double>(s.features))).to(type);
  const Tensor out = at::matmul(at::softmax(at::matmul(q, keys), -1), values).reshape({B, s.heads * s.features}).to(qkv.scalar_type());
  own_k.slice(3, past, past + 1).copy_(key);  // last: what is refused changes nothing
  own_v.slice(2, past, past + 1).copy_(value);
  return out;
}

// Attention of one new token a sequence. Keys are kept as [·, heads, features, time], values as [·, heads, time, features].
Tensor decode_attention(const Tensor& qkv, const Tensor& prefix_k, const Tensor& prefix_v, Tensor own_k, Tensor own_v, const Tensor& of,
                        int64_t position) {
  TORCH_CHECK(qkv.dim() == 2 && own_k.dim() == 4 && own_v.dim() == 4 && prefix_k.dim() == 4 && prefix_v.dim() == 4,
              "decode_attention expects qkv [B, 3·C] and caches of 4 dimensions");
  const int64_t B = qkv.size(0), H = own_k.size(1), D = own_k.size(2), N = prefix_k.size(0);
  const Sizes s{H, D, prefix_k.size(3), own_k.size(3), position};
  const bool fits = qkv.size(1) == 3 * H * D && own_k.size(0) == B && own_v.sizes() == at::IntArrayRef({B, H, s.capacity, D}) &&
                    prefix_k.sizes() == at::IntArrayRef({N, H, D, s.prefix}) && prefix_v.sizes() == at::IntArrayRef({N, H, s.prefix, D}) &&
                    of.dim() == 1 && of.size(0) == B && of.scalar_type() == at::kLong;
  TORCH_CHECK(fits, "decode_attention: the shapes of qkv ", qkv.sizes(), ", prefix_k ", prefix_k.sizes(), ", prefix_v ", prefix_v.sizes(),
              ", own_k ", own_k.sizes(), ", own_v ", own_v.sizes(), " and of ", of.sizes(), " do not belong together");
  TORCH_CHECK(position >= 0 && position < s.capacity, "decode_attention: position ", position, " lies outside the cache of ", s.capacity);
  const auto type = own_k.scalar_type();
  TORCH_CHECK(qkv.is_floating_point() && own_k.is_floating_point(), "decode_attention expects real fractions, but got qkv of ", qkv.scalar_type(),
              " and caches of ", type);
  for (const Tensor& each : {prefix_k, prefix_v, own_v})
    TORCH_CHECK(each.scalar_type() == type, "decode_attention expects all caches in one dtype, but got ", type, " and ", each.scalar_type());
  kernels::check_one_device("decode_attention", {qkv, prefix_k, prefix_v, own_k, own_v, of});
  kernels::check_constant("decode_attention", {qkv, prefix_k, prefix_v});
  kernels::check_writable("decode_attention", own_k, {qkv, prefix_k, prefix_v, own_v});
  kernels::check_writable("decode_attention", own_v, {qkv, prefix_k, prefix_v});
  bool fused = is_flat(qkv, at::kFloat) && (type == at::kFloat || type == at::kBFloat16) && of.is_cpu() && of.is_contiguous();
  for (const Tensor& each : {prefix_k, prefix_v, own_k, own_v})
    fused = fused && is_flat(each, type);
  if (!fused) return attend_plainly(qkv, prefix_k, prefix_v, own_k, own_v, of, s);
  for (int64_t b = 0; b < B; ++b) {
    const int64_t place = of.data_ptr<int64_t>()[b];
    TORCH_CHECK(place >= 0 && place < N, "decode_attention: sequence ", b, " names prefix ", place, " of ", N);
  }
  Tensor out = at::empty({B, H * D}, qkv.options());
  if (type == at::kFloat)
    attend_all<float>(qkv, prefix_k, prefix_v, own_k, own_v, of, out, s);
  else
    attend_all<Bf16>(qkv, prefix_k, prefix_v, own_k, own_v, of, out, s);
  note_change(own_k);
  note_change(own_v);
  return out;
}

// The residual stream `x` [B, C] takes `y` in; returns its layer normalization.
Tensor add_norm_(Tensor x, const c10::optional<Tensor>& y, const Tensor& weight, const Tensor& bias, double eps) {
  TORCH_CHECK(x.dim() == 2 && (!y || y->sizes() == x.sizes()) && weight.sizes() == x.sizes().slice(1) && bias.sizes() == weight.sizes(),
              "add_norm_ expects x and y as [B, C] with C weights and biases, but got x ", x.sizes(), ", weights ", weight.sizes(),
              " and biases ", bias.sizes());
  TORCH_CHECK(x.is_floating_point() && (!y || y->is_floating_point()), "add_norm_ expects real fractions, but got ", x.scalar_type(), " and ",
              y ? y->scalar_type() : x.scalar_type());
  kernels::check_one_device("add_norm_", {x, kernels::or_none(y), weight, bias});
  kernels::check_constant("add_norm_", {kernels::or_none(y), weight, bias});
  kernels::check_writable("add_norm_", x, {kernels::or_none(y)});
  bool fused = is_flat(x, at::kFloat) && is_flat(weight, at::kFloat) && is_flat(bias, at::kFloat);
  if (y) fused = fused && is_flat(*y, at::kFloat);
  if (!fused) {
    const Tensor sum = y ? at::add(x, *y).to(x.scalar_type()) : x;
    const Tensor out = at::layer_norm(sum, {x.size(1)}, weight, bias, eps);  // may refuse: before anything is changed
    if (y) x.copy_(sum);
    return out;
  }
  Tensor out = at::empty_like(x);
  const int64_t width = x.size(1);
  for (int64_t b = 0; b < x.size(0); ++b) {
    const int64_t row = b * width;
    best<add_norm_row>(x.data_ptr<float>() + row, y ? y->data_ptr<float>() + row : nullptr, weight.data_ptr<float>(), bias.data_ptr<float>(),
                 out.data_ptr<float>() + row, width, static_cast<float>(eps));
  }
  if (y) kernels::note_change(x);
  return out;
}

// y = x Wᵀ + b for few rows: x [B, I], W as panels [⌈O/32⌉, I, 32] (see pack_panels), optionally followed by GELU.
Tensor panel_linear(const Tensor& x, const Tensor& panels, const c10::optional<Tensor>& bias, int64_t outputs, bool gelu) {
  TORCH_CHECK(x.dim() == 2 && panels.dim() == 3 && panels.size(2) == kPanel && panels.size(1) == x.size(1) && outputs > 0 &&
                  panels.size(0) == (outputs + kPanel - 1) / kPanel && (!bias || bias->numel() == outputs),
              "panel_linear expects x [B, I] and panels [ceil(O/32), I, 32], but got x ", x.sizes(), " and panels ", panels.sizes(), " for ",
              outputs, " outputs");
  const auto type = panels.scalar_type();
  TORCH_CHECK(is_flat(x, at::kFloat) && (type == at::kFloat || type == at::kBFloat16) && is_flat(panels, type) && (!bias || is_flat(*bias, at::kFloat)),
              "panel_linear works on the CPU, with x and bias in float32 and panels in float32 or bfloat16, all contiguous");
  kernels::check_constant("panel_linear", {x, panels, kernels::or_none(bias)});
  const int64_t rows = x.size(0), inputs = x.size(1);
  Tensor out = at::empty({rows, outputs}, x.options());
  const float *in = x.data_ptr<float>(), *offset = bias ? bias->data_ptr<float>() : nullptr;
  float* o = out.data_ptr<float>();
  parallel_for(0, panels.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p * kPanel, count = std::min(kPanel, outputs - first);
      const float* own = offset == nullptr ? nullptr : offset + first;
      if (type == at::kFloat)
        multiply<float>(in, panels.data_ptr<float>() + first * inputs, own, rows, inputs, outputs, count, o + first);
      else
        multiply<Bf16>(in, static_cast<const Bf16*>(panels.data_ptr()) + first * inputs, own, rows, inputs, outputs, count, o + first);
      if (gelu)
        for (int64_t r = 0; r < rows; ++r) best<gelu_in_place>(o + r * outputs + first, count);
    }
  });
  return out;
}

// A weight [O, I] as panels for panel_linear; the last is filled up with zeros.
Tensor pack_panels(const Tensor& weight) {
  TORCH_CHECK(weight.dim() == 2, "pack_panels expects a weight [O, I], but got ", weight.sizes());
  const int64_t panels = (weight.size(0) + kPanel - 1) / kPanel;
  const Tensor padded = at::cat({weight, weight.new_zeros({panels * kPanel - weight.size(0), weight.size(1)})});
  return padded.reshape({panels, kPanel, weight.size(1)}).transpose(1, 2).contiguous();
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(iqvae, m) {
  m.def(
      "decode_attention(Tensor qkv, Tensor prefix_k, Tensor prefix_v, Tensor(a!) own_k, Tensor(b!) own_v, Tensor of, int position) -> Tensor",
      decode_attention);
  m.def("add_norm_(Tensor(a!) x, Tensor? y, Tensor weight, Tensor bias, float eps) -> Tensor", add_norm_);
  m.def("panel_linear(Tensor x, Tensor panels, Tensor? bias, int outputs, bool gelu) -> Tensor", panel_linear);
  m.def("pack_panels(Tensor weight) -> Tensor", pack_panels);
}
