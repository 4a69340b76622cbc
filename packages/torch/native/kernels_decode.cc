// One token at a time: what a transformer does between its matrix products when it samples with a cache. On the CPU the
// plain operators spend their time on dozens of tiny products a layer; here each step is one pass over the cache.
#include "simd.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

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

struct Sizes {
  int64_t heads, features, prefix, capacity, position;
};

// One head of one sequence: its new key and value enter the cache, then it attends to the prefix and to all its own.
template <typename T>
IQVAE_INLINE void attend_one(const T* qkv, const T* prefix_k, const T* prefix_v, T* own_k, T* own_v, T* out, Sizes s, float* scores,
                             float* scratch) {
  const int64_t D = s.features, own = s.position + 1, total = s.prefix + own, width = s.heads * D;
  for (int64_t d = 0; d < D; ++d) {
    own_k[d * s.capacity + s.position] = qkv[width + d];
    own_v[s.position * D + d] = qkv[2 * width + d];
  }
  float *q = scratch, *sum = scratch + D;
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  for (int64_t d = 0; d < D; ++d) q[d] = load(qkv + d) * scale;
  for (int64_t d = 0; d < D; ++d) sum[d] = 0;
  for (int64_t t = 0; t < total; ++t) scores[t] = 0;
  add_scores(q, prefix_k, s.prefix, D, s.prefix, scores);
  add_scores(q, own_k, s.capacity, D, own, scores + s.prefix);
  softmax_in_place(scores, total);
  add_values(scores, prefix_v, D, s.prefix, sum);
  add_values(scores + s.prefix, own_v, D, own, sum);
  for (int64_t d = 0; d < D; ++d) store(out + d, sum[d]);
}

IQVAE_CLONES void attend_float(const float* qkv, const float* pk, const float* pv, float* ok, float* ov, float* out, Sizes s, float* scores,
                               float* scratch) {
  attend_one(qkv, pk, pv, ok, ov, out, s, scores, scratch);
}
IQVAE_CLONES void attend_bf16(const Bf16* qkv, const Bf16* pk, const Bf16* pv, Bf16* ok, Bf16* ov, Bf16* out, Sizes s, float* scores,
                              float* scratch) {
  attend_one(qkv, pk, pv, ok, ov, out, s, scores, scratch);
}

template <typename T, typename Attend>
void attend_all(const Tensor& qkv, const Tensor& prefix_k, const Tensor& prefix_v, Tensor& own_k, Tensor& own_v, const Tensor& of, Tensor& out,
                Sizes s, Attend attend) {
  auto at = [](const Tensor& tensor) { return static_cast<T*>(tensor.data_ptr()); };
  const int64_t B = qkv.size(0), H = s.heads, D = s.features, width = H * D;
  const int64_t* prefix_of = of.data_ptr<int64_t>();
  const T *q = at(qkv), *pk = at(prefix_k), *pv = at(prefix_v);
  T *ok = at(own_k), *ov = at(own_v), *o = at(out);
  // Head by head, so that samples of one condition find its prefix in the cache of the processor.
  at::parallel_for(0, H * B, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scores(s.prefix + s.position + 1), scratch(2 * D);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t h = i / B, b = i % B;
      const int64_t shared = (prefix_of[b] * H + h) * D * s.prefix, own = (b * H + h) * D * s.capacity;
      attend(q + b * 3 * width + h * D, pk + shared, pv + shared, ok + own, ov + own, o + b * width + h * D, s, scores.data(), scratch.data());
    }
  });
}

Tensor attend_plainly(const Tensor& qkv, const Tensor& prefix_k, const Tensor& prefix_v, Tensor& own_k, Tensor& own_v, const Tensor& of,
                      Sizes s) {
  const int64_t B = qkv.size(0), own = s.position + 1;
  const auto parts = qkv.view({B, 3, s.heads, s.features}).unbind(1);  // each [B, H, D]
  own_k.select(3, s.position).copy_(parts[1]);
  own_v.select(2, s.position).copy_(parts[2]);
  const Tensor keys = at::cat({prefix_k.index_select(0, of), own_k.slice(3, 0, own)}, 3);
  const Tensor values = at::cat({prefix_v.index_select(0, of), own_v.slice(2, 0, own)}, 2);
  const Tensor scores = at::matmul(parts[0].unsqueeze(2) / std::sqrt(static_cast<double>(s.features)), keys);
  return at::matmul(at::softmax(scores, -1), values).reshape({B, s.heads * s.features});
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
  const auto type = qkv.scalar_type();
  bool fused = qkv.is_cpu() && (type == at::kFloat || type == at::kBFloat16) && of.is_contiguous();
  for (const Tensor& each : {qkv, prefix_k, prefix_v, own_k, own_v})
    fused = fused && each.is_contiguous() && each.scalar_type() == type && each.is_cpu();
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
  return out;
}

// x ← x + y, and the normalised sum in the type of `out`.
template <typename Y, typename O>
IQVAE_INLINE void add_norm_row(float* __restrict x, const Y* y, const float* gain, const float* offset, O* out, int64_t width, float eps) {
  if (y != nullptr)
    for (int64_t i = 0; i < width; ++i) x[i] += load(y + i);
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
  for (i = 0; i < width; ++i) store(out + i, (x[i] - mean) * scale * gain[i] + offset[i]);
}

IQVAE_CLONES void add_norm_float(float* x, const float* y, const float* gain, const float* offset, float* out, int64_t width, float eps) {
  add_norm_row(x, y, gain, offset, out, width, eps);
}
IQVAE_CLONES void add_norm_bf16(float* x, const Bf16* y, const float* gain, const float* offset, Bf16* out, int64_t width, float eps) {
  add_norm_row(x, y, gain, offset, out, width, eps);
}

// The residual stream `x` (float32, [B, C]) takes `y` in; returns its layer normalisation in `dtype`.
Tensor add_norm_(Tensor x, const c10::optional<Tensor>& y, const Tensor& weight, const Tensor& bias, double eps, at::ScalarType dtype) {
  TORCH_CHECK(x.dim() == 2 && (!y || y->sizes() == x.sizes()) && weight.numel() == x.size(1) && bias.numel() == x.size(1),
              "add_norm_ expects x and y as [B, C] with C weights and biases, but got x ", x.sizes(), " and ", weight.numel(), " weights");
  auto flat = [](const Tensor& tensor, at::ScalarType type) { return tensor.is_cpu() && tensor.is_contiguous() && tensor.scalar_type() == type; };
  const bool known = dtype == at::kFloat || dtype == at::kBFloat16;
  if (!known || !flat(x, at::kFloat) || (y && !flat(*y, dtype)) || !flat(weight, at::kFloat) || !flat(bias, at::kFloat)) {
    if (y) x.add_(*y);
    return at::layer_norm(x, {x.size(1)}, weight, bias, eps).to(dtype);
  }
  Tensor out = at::empty(x.sizes(), x.options().dtype(dtype));
  const int64_t width = x.size(1);
  const float *gain = weight.data_ptr<float>(), *offset = bias.data_ptr<float>();
  for (int64_t b = 0; b < x.size(0); ++b) {
    float* row = x.data_ptr<float>() + b * width;
    void* target = static_cast<char*>(out.data_ptr()) + b * width * static_cast<int64_t>(out.element_size());
    const void* added = y ? static_cast<const char*>(y->data_ptr()) + b * width * static_cast<int64_t>(y->element_size()) : nullptr;
    if (dtype == at::kFloat)
      add_norm_float(row, static_cast<const float*>(added), gain, offset, static_cast<float*>(target), width, static_cast<float>(eps));
    else
      add_norm_bf16(row, static_cast<const Bf16*>(added), gain, offset, static_cast<Bf16*>(target), width, static_cast<float>(eps));
  }
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(iqvae, m) {
  m.def(
      "decode_attention(Tensor qkv, Tensor prefix_k, Tensor prefix_v, Tensor(a!) own_k, Tensor(b!) own_v, Tensor of, int position) -> Tensor",
      decode_attention);
  m.def("add_norm_(Tensor(a!) x, Tensor? y, Tensor weight, Tensor bias, float eps, ScalarType dtype) -> Tensor", add_norm_);
}
