// Causal multi-head attention, forward and backward in one pass over the heads each, in float32 on the CPU. libtorch 1.13 without
// MKL multiplies the heads one by one, each product on all threads, and copies queries, keys and values apart before. Here each
// thread has heads of its own, reads them where the product of the layer has put them, and passes over most of what the mask
// would cross out.
#include "history.h"
#include "loops_attention.h"
#include "parallel.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <cmath>
#include <vector>

// Of the BLAS that libtorch computes with, whose threads rest inside a parallel region. Null where it is hidden.
extern "C" __attribute__((weak)) void sgemm_(const char* transa, const char* transb, const int* m, const int* n, const int* k, const float* alpha,
                                             const float* a, const int* lda, const float* b, const int* ldb, const float* beta, float* c, const int* ldc);

namespace {

using at::Tensor;
using namespace kernels;

// A matrix in rows, `stride` apart.
struct Rows {
  const float* data;
  int64_t stride;
  bool transposed = false;
};
Rows transpose(Rows m) { return {m.data, m.stride, !m.transposed}; }

// c [rows, columns] ← scale·a·b + keep·c. BLAS counts by columns: cᵀ = bᵀ·aᵀ.
void multiply(Rows a, Rows b, float* c, int64_t stride, int64_t rows, int64_t columns, int64_t inner, float scale, float keep) {
  const int m = static_cast<int>(columns), n = static_cast<int>(rows), k = static_cast<int>(inner);
  const int lda = static_cast<int>(b.stride), ldb = static_cast<int>(a.stride), ldc = static_cast<int>(stride);
  sgemm_(b.transposed ? "T" : "N", a.transposed ? "T" : "N", &m, &n, &k, &scale, b.data, &lda, a.data, &ldb, &keep, c, &ldc);
}

struct Shape {
  int64_t batch, tokens, heads, features, first;
  int64_t queries() const { return tokens - first; }
  int64_t width() const { return heads * features; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(features)); }
};

// Queries go through in blocks, each with the keys up to its last query.
constexpr int64_t kBlock = 64;

template <typename F>
void each_head(const Shape& s, const F& f) {
  parallel_for(0, s.batch * s.heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i, (i / s.heads) * s.tokens * 3 * s.width() + (i % s.heads) * s.features,
                                            (i / s.heads) * s.queries() * s.width() + (i % s.heads) * s.features);
  });
}

// qkv [B, T, 3·C] → out [B, n, C] and the weights [B·H, n, T], of which what lies beyond a block's keys is not written.
void forward_heads(const float* qkv, float* out, float* weights, const Shape& s) {
  const int64_t C = s.width(), T = s.tokens, n = s.queries(), D = s.features;
  each_head(s, [&](int64_t i, int64_t in, int64_t to) {
    const Rows keys{qkv + in + C, 3 * C}, values{qkv + in + 2 * C, 3 * C};
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      const int64_t rows = std::min(kBlock, n - begin), seen = s.first + begin + rows;
      float* p = weights + (i * n + begin) * T;
      multiply({qkv + in + (s.first + begin) * 3 * C, 3 * C}, transpose(keys), p, T, rows, seen, D, s.scale(), 0);
      for (int64_t r = 0; r < rows; ++r) best<causal_softmax>(p + r * T, s.first + begin + r + 1, seen);
      multiply({p, T}, values, out + to + begin * C, C, rows, D, seen, 1, 0);
    }
  });
}

void backward_heads(const float* qkv, const float* weights, const float* dout, float* dqkv, const Shape& s) {
  const int64_t C = s.width(), T = s.tokens, n = s.queries(), D = s.features;
  each_head(s, [&](int64_t i, int64_t in, int64_t to) {
    const Rows keys{qkv + in + C, 3 * C}, values{qkv + in + 2 * C, 3 * C};
    std::vector<float> scores(kBlock * T);
    for (int64_t t = 0; t < s.first; ++t) std::fill_n(dqkv + in + t * 3 * C, D, 0.0f);
    float keep = 0;  // the last block has all keys, and so writes first
    for (int64_t begin = (n - 1) / kBlock * kBlock; begin >= 0; begin -= kBlock, keep = 1) {
      const int64_t rows = std::min(kBlock, n - begin), seen = s.first + begin + rows, query = in + (s.first + begin) * 3 * C;
      const float* p = weights + (i * n + begin) * T;
      const Rows d{dout + to + begin * C, C}, dscores{scores.data(), T};
      multiply(d, transpose(values), scores.data(), T, rows, seen, D, 1, 0);
      for (int64_t r = 0; r < rows; ++r) best<softmax_gradient>(p + r * T, scores.data() + r * T, seen, s.scale());
      multiply(dscores, keys, dqkv + query, 3 * C, rows, D, seen, 1, 0);
      multiply(transpose(dscores), {qkv + query, 3 * C}, dqkv + in + C, 3 * C, seen, D, rows, 1, keep);
      multiply(transpose({p, T}), d, dqkv + in + 2 * C, 3 * C, seen, D, rows, 1, keep);
    }
  });
}

struct FusedAttention : torch::autograd::Function<FusedAttention> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input, int64_t heads, int64_t first) {
    const Tensor qkv = input.contiguous().resolve_neg();
    const Shape s{qkv.size(0), qkv.size(1), heads, qkv.size(2) / 3 / heads, first};
    Tensor out = at::empty({s.batch, s.queries(), s.width()}, qkv.options());
    Tensor weights = at::empty({s.batch * heads, s.queries(), s.tokens}, qkv.options());
    context->save_for_backward({qkv, weights});
    context->saved_data["heads"] = heads;
    context->saved_data["first"] = first;
    if (!qkv.is_meta()) forward_heads(qkv.data_ptr<float>(), out.data_ptr<float>(), weights.data_ptr<float>(), s);
    return out;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context, torch::autograd::tensor_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "causal_attention has no second derivative; for createGraph, give MultiheadAttention.forward needWeights: true, or compose aten::softmax and aten::bmm");
    const auto saved = context->get_saved_variables();
    const Tensor &qkv = saved[0], &weights = saved[1];
    const Tensor dout = gradients[0].contiguous().resolve_neg();
    Tensor dqkv = at::empty_like(qkv);
    const int64_t heads = context->saved_data["heads"].toInt();
    const Shape s{qkv.size(0), qkv.size(1), heads, qkv.size(2) / 3 / heads, context->saved_data["first"].toInt()};
    if (!qkv.is_meta())
      backward_heads(qkv.data_ptr<float>(), weights.data_ptr<float>(), dout.data_ptr<float>(), dqkv.data_ptr<float>(), s);
    return {dqkv, Tensor(), Tensor()};
  }
};

// Scale and mask folded into the product, the fastest plain form that libtorch 1.13 has.
Tensor attend_plainly(const Tensor& qkv, int64_t heads, int64_t first) {
  const int64_t B = qkv.size(0), T = qkv.size(1), C = qkv.size(2) / 3, D = C / heads, n = T - first;
  const auto parts = qkv.reshape({B, T, 3, heads, D}).permute({2, 0, 3, 1, 4}).unbind(0);  // each [B, H, T, D]
  const Tensor q = parts[0].slice(2, first).reshape({B * heads, n, D}), keys = parts[1].reshape({B * heads, T, D}).transpose(1, 2);
  const Tensor mask = at::full({n, T}, -INFINITY, qkv.options()).triu(first + 1).expand({B * heads, n, T});
  const Tensor weights = at::baddbmm(mask, q, keys, 1, 1 / std::sqrt(static_cast<double>(D))).softmax(-1);
  return weights.bmm(parts[2].reshape({B * heads, T, D})).view({B, heads, n, D}).transpose(1, 2).reshape({B, n, C});
}

// Attention of positions `first` … T − 1 of qkv [B, T, 3·C], queries, keys and values side by side, each to all up to itself:
// [B, T − first, C].
Tensor causal_attention(const Tensor& qkv, int64_t heads, int64_t first) {
  TORCH_CHECK(qkv.dim() == 3 && heads > 0 && qkv.size(2) % (3 * heads) == 0, "causal_attention expects qkv [B, T, 3·C] with C a multiple of ", heads,
              " heads, but got ", qkv.sizes());
  TORCH_CHECK(first >= 0 && first < std::max<int64_t>(qkv.size(1), 1), "causal_attention: the first position ", first, " lies outside of ", qkv.size(1));
  TORCH_CHECK(qkv.is_floating_point(), "causal_attention expects real fractions, but got ", qkv.scalar_type());
  TORCH_CHECK(qkv.layout() == at::kStrided, "causal_attention expects a dense tensor, but got the layout ", qkv.layout());
  const bool fused = sgemm_ != nullptr && (qkv.is_cpu() || qkv.is_meta()) && qkv.scalar_type() == at::kFloat && qkv.numel() > 0;
  return fused ? FusedAttention::apply(qkv, heads, first) : attend_plainly(qkv, heads, first);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(fused, m) {
  m.def("causal_attention(Tensor qkv, int heads, int first) -> Tensor", causal_attention);
}
