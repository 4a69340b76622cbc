// One token at a time: what a transformer does when it samples with a cache of keys and values. On the CPU the plain operators
// spend their time on hand-over between dozens of tiny products; here a layer is six calls, each one pass over the weights
// or the cache. Activations are float32; weights and caches may be bfloat16, which halves what is read.
//
// Every row is summed in the same order whatever stands beside it: a sequence comes out equal to the bit in any batch.
#include "history.h"
#include "simd.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

using at::Tensor;
using kernels::Bf16;
using kernels::load;
using kernels::store;

// scores[t] += Σ_d q[d]·keys[d][t]: keys lie with time innermost, so that lanes are moments and nothing is summed across.
template <typename T>
IQVAE_INLINE void add_scores(const float* q, const T* keys, int64_t stride, int64_t features, int64_t count, float* __restrict scores) {
  int64_t d = 0;
  for (; d + 4 <= features; d += 4) {
    const T *k0 = keys + d * stride, *k1 = k0 + stride, *k2 = k1 + stride, *k3 = k2 + stride;
    const float q0 = q[d], q1 = q[d + 1], q2 = q[d + 2], q3 = q[d + 3];
    for (int64_t t = 0; t < count; ++t) scores[t] += q0 * load(k0 + t) + q1 * load(k1 + t) + q2 * load(k2 + t) + q3 * load(k3 + t);
  }
  for (; d < features; ++d)
    for (int64_t t = 0; t < count; ++t) scores[t] += q[d] * load(keys + d * stride + t);
}

// out[d] += Σ_t weights[t]·values[t][d].
template <typename T>
IQVAE_INLINE void add_values(const float* weights, const T* values, int64_t features, int64_t count, float* __restrict out) {
  int64_t t = 0;
  for (; t + 4 <= count; t += 4) {
    const T *v0 = values + t * features, *v1 = v0 + features, *v2 = v1 + features, *v3 = v2 + features;
    const float w0 = weights[t], w1 = weights[t + 1], w2 = weights[t + 2], w3 = weights[t + 3];
    for (int64_t d = 0; d < features; ++d) out[d] += w0 * load(v0 + d) + w1 * load(v1 + d) + w2 * load(v2 + d) + w3 * load(v3 + d);
  }
  for (; t < count; ++t)
    for (int64_t d = 0; d < features; ++d) out[d] += weights[t] * load(values + t * features + d);
}

IQVAE_INLINE void softmax_in_place(float* scores, int64_t count) {
  float most = scores[0];
  for (int64_t t = 1; t < count; ++t) most = scores[t] > most ? scores[t] : most;
  for (int64_t t = 0; t < count; ++t) scores[t] = kernels::fast_exp(scores[t] - most);
  float lanes[16] = {};
  int64_t t = 0;
  for (; t + 16 <= count; t += 16)
    for (int k = 0; k < 16; ++k) lanes[k] += scores[t + k];
  float sum = 0;
  for (; t < count; ++t) sum += scores[t];
  for (float lane : lanes) sum += lane;
  const float scale = 1.0f / sum;
  for (int64_t i = 0; i < count; ++i) scores[i] *= scale;
}

bool is_flat(const Tensor& tensor, at::ScalarType type) {
  return tensor.is_cpu() && tensor.is_contiguous() && tensor.scalar_type() == type && !tensor.is_neg();
}

struct Sizes {
  int64_t heads, features, prefix, capacity, position;
};

// One head of one sequence: its new key and value enter the cache, then it attends to the prefix and to all its own.
template <typename T>
IQVAE_INLINE void attend_one(const float* qkv, const T* prefix_k, const T* prefix_v, T* own_k, T* own_v, float* __restrict out, Sizes s,
                             float* scores, float* q) {
  const int64_t D = s.features, own = s.position + 1, total = s.prefix + own, width = s.heads * D;
  for (int64_t d = 0; d < D; ++d) {
    store(own_k + d * s.capacity + s.position, qkv[width + d]);
    store(own_v + s.position * D + d, qkv[2 * width + d]);
  }
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  for (int64_t d = 0; d < D; ++d) q[d] = qkv[d] * scale;
  for (int64_t d = 0; d < D; ++d) out[d] = 0;
  for (int64_t t = 0; t < total; ++t) scores[t] = 0;
  add_scores(q, prefix_k, s.prefix, D, s.prefix, scores);
  add_scores(q, own_k, s.capacity, D, own, scores + s.prefix);
  softmax_in_place(scores, total);
  add_values(scores, prefix_v, D, s.prefix, out);
  add_values(scores + s.prefix, own_v, D, own, out);
}

IQVAE_CLONES void attend_float(const float* qkv, const float* pk, const float* pv, float* ok, float* ov, float* out, Sizes s, float* scores,
                               float* q) {
  attend_one(qkv, pk, pv, ok, ov, out, s, scores, q);
}
IQVAE_CLONES void attend_bf16(const float* qkv, const Bf16* pk, const Bf16* pv, Bf16* ok, Bf16* ov, float* out, Sizes s, float* scores,
                              float* q) {
  attend_one(qkv, pk, pv, ok, ov, out, s, scores, q);
}

template <typename T, typename Attend>
void attend_all(const Tensor& qkv, const Tensor& prefix_k, const Tensor& prefix_v, Tensor& own_k, Tensor& own_v, const Tensor& of, Tensor& out,
                Sizes s, Attend attend) {
  auto at = [](const Tensor& tensor) { return static_cast<T*>(tensor.data_ptr()); };
  const int64_t B = qkv.size(0), H = s.heads, D = s.features, width = H * D;
  const int64_t* prefix_of = of.data_ptr<int64_t>();
  const T *pk = at(prefix_k), *pv = at(prefix_v);
  T *ok = at(own_k), *ov = at(own_v);
  const float* in = qkv.data_ptr<float>();
  float* o = out.data_ptr<float>();
  // Head by head, so that samples of one condition find its prefix in the cache of the processor.
  at::parallel_for(0, H * B, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scores(s.prefix + s.position + 1), q(D);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t h = i / B, b = i % B;
      const int64_t shared = (prefix_of[b] * H + h) * D * s.prefix, own = (b * H + h) * D * s.capacity;
      attend(in + b * 3 * width + h * D, pk + shared, pv + shared, ok + own, ov + own, o + b * width + h * D, s, scores.data(), q.data());
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
  const Tensor q = (parts[0].unsqueeze(2) / std::sqrt(static_cast<double>(s.features))).to(type);
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
    attend_all<float>(qkv, prefix_k, prefix_v, own_k, own_v, of, out, s, attend_float);
  else
    attend_all<Bf16>(qkv, prefix_k, prefix_v, own_k, own_v, of, out, s, attend_bf16);
  kernels::note_change(own_k);
  kernels::note_change(own_v);
  return out;
}

// x ← x + y, and the normalised sum.
IQVAE_CLONES void add_norm_row(float* __restrict x, const float* y, const float* gain, const float* offset, float* __restrict out,
                               int64_t width, float eps) {
  if (y != nullptr)
    for (int64_t i = 0; i < width; ++i) x[i] += y[i];
  float lanes[16] = {}, squares[16] = {};
  float sum = 0, square = 0;
  int64_t i = 0;
  for (; i + 16 <= width; i += 16)
    for (int k = 0; k < 16; ++k) lanes[k] += x[i + k];
  for (; i < width; ++i) sum += x[i];
  for (float lane : lanes) sum += lane;
  const float mean = sum / static_cast<float>(width);
  for (i = 0; i + 16 <= width; i += 16)
    for (int k = 0; k < 16; ++k) squares[k] += (x[i + k] - mean) * (x[i + k] - mean);
  for (; i < width; ++i) square += (x[i] - mean) * (x[i] - mean);
  for (float lane : squares) square += lane;
  const float scale = 1.0f / std::sqrt(square / static_cast<float>(width) + eps);
  for (i = 0; i < width; ++i) out[i] = (x[i] - mean) * scale * gain[i] + offset[i];
}

// The residual stream `x` [B, C] takes `y` in; returns its layer normalisation.
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
    add_norm_row(x.data_ptr<float>() + row, y ? y->data_ptr<float>() + row : nullptr, weight.data_ptr<float>(), bias.data_ptr<float>(),
                 out.data_ptr<float>() + row, width, static_cast<float>(eps));
  }
  if (y) kernels::note_change(x);
  return out;
}

// Panels: kPanel outputs side by side, so that a product of few rows streams through the weights once, a vector of outputs
// at a time, and nothing is summed across lanes.
constexpr int64_t kPanel = 32;
typedef float Lanes __attribute__((vector_size(64)));
typedef uint16_t HalfLanes __attribute__((vector_size(32)));
typedef uint32_t WordLanes __attribute__((vector_size(64)));

IQVAE_INLINE void read_lanes(const float* p, Lanes& out) { std::memcpy(&out, p, sizeof(out)); }
IQVAE_INLINE void read_lanes(const Bf16* p, Lanes& out) {
  HalfLanes halves;
  std::memcpy(&halves, p, sizeof(halves));
  const WordLanes words = __builtin_convertvector(halves, WordLanes) << 16;
  std::memcpy(&out, &words, sizeof(out));
}

// R rows of x [·, inputs] times one panel [inputs, kPanel].
template <int R, typename T>
IQVAE_INLINE void multiply_rows(const float* x, const T* panel, const float* bias, int64_t inputs, int64_t outputs, int64_t count, float* out) {
  Lanes sums[R][2] = {};
  for (int64_t i = 0; i < inputs; ++i) {
    Lanes low, high;
    read_lanes(panel + i * kPanel, low);
    read_lanes(panel + i * kPanel + 16, high);
    for (int r = 0; r < R; ++r) {
      sums[r][0] += low * x[r * inputs + i];
      sums[r][1] += high * x[r * inputs + i];
    }
  }
  for (int r = 0; r < R; ++r) {
    float row[kPanel];
    std::memcpy(row, sums[r], sizeof(row));
    for (int64_t o = 0; o < count; ++o) out[r * outputs + o] = row[o] + (bias == nullptr ? 0.0f : bias[o]);
  }
}

template <typename T>
IQVAE_INLINE void multiply_panel(const float* x, const T* panel, const float* bias, int64_t rows, int64_t inputs, int64_t outputs,
                                 int64_t count, float* out) {
  int64_t r = 0;
  for (; r + 8 <= rows; r += 8) multiply_rows<8>(x + r * inputs, panel, bias, inputs, outputs, count, out + r * outputs);
  for (; r + 4 <= rows; r += 4) multiply_rows<4>(x + r * inputs, panel, bias, inputs, outputs, count, out + r * outputs);
  for (; r < rows; ++r) multiply_rows<1>(x + r * inputs, panel, bias, inputs, outputs, count, out + r * outputs);
}

IQVAE_CLONES void multiply_float(const float* x, const float* panel, const float* bias, int64_t rows, int64_t inputs, int64_t outputs,
                                 int64_t count, float* out) {
  multiply_panel(x, panel, bias, rows, inputs, outputs, count, out);
}
IQVAE_CLONES void multiply_bf16(const float* x, const Bf16* panel, const float* bias, int64_t rows, int64_t inputs, int64_t outputs,
                                int64_t count, float* out) {
  multiply_panel(x, panel, bias, rows, inputs, outputs, count, out);
}

// x·Φ(x), Φ from the error function by Abramowitz & Stegun 7.1.26: within 1.5e-7.
IQVAE_CLONES void gelu_in_place(float* __restrict values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float x = values[i], z = std::fabs(x) * 0.70710678118654752f;
    const float t = 1.0f / (1.0f + 0.3275911f * z);
    const float p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    const float tail = 0.5f * p * kernels::fast_exp(-z * z);  // 1 − Φ(|x|)
    values[i] = x * (x < 0.0f ? tail : 1.0f - tail);
  }
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
  at::parallel_for(0, panels.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p * kPanel, count = std::min(kPanel, outputs - first);
      const float* own = offset == nullptr ? nullptr : offset + first;
      if (type == at::kFloat)
        multiply_float(in, panels.data_ptr<float>() + first * inputs, own, rows, inputs, outputs, count, o + first);
      else
        multiply_bf16(in, static_cast<const Bf16*>(panels.data_ptr()) + first * inputs, own, rows, inputs, outputs, count, o + first);
      if (gelu)
        for (int64_t r = 0; r < rows; ++r) gelu_in_place(o + r * outputs + first, count);
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
