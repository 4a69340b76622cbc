// One token at a time: what a transformer does when it samples with a cache of keys and values. libtorch's operators spend
// their time there on hand-over between dozens of tiny products a layer. Here a token is one call, in which threads take pieces of each
// step as they come to it. Activations are float32. Weights and caches may be bfloat16, which halves what is read; what enters a product
// with such a weight is rounded to it.
//
// Every row is summed in the same order whatever stands beside it: a sequence comes out equal to the bit in any batch.
#include "history.h"
#include "loops_decode.h"
#include "panels.h"
#include "steps.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

namespace {

using at::Tensor;
using namespace kernels;

constexpr int64_t kOfLayer = 12;  // weights of a layer

struct Norm {
  const float *weight, *bias;
};

// Keys are kept in blocks of moments (see kKeys), values as [·, heads, time, features].
template <typename T>
struct Layer {
  Norm norm1, norm2;
  Product<T> qkv, project, expand, contract;
  const T *prefix_k, *prefix_v;
  T *own_k, *own_v;
};

template <typename T>
struct Network {
  std::vector<Layer<T>> layers;
  Norm norm;
  Product<T> head;
  const int64_t* prefix_of;
  Sizes sizes;
  int64_t hidden;
  float eps;
};

// What the rows have on their way: x, h, y and mixed [rows, C], wide [rows, the widest layer].
struct Room {
  float *x, *h, *y, *wide, *mixed;
};

// A thread's own memory: scores, a query, and rows that have entered a product.
struct Own {
  float *scores, *q, *entered;
};

// One head of one row. Head by head, so that samples of one condition find its prefix in the cache of the processor.
template <typename T>
void attend_pair(const Network<T>& net, const Layer<T>& layer, int64_t pair, int64_t rows, const Room& room, const Own& thread) {
  const Sizes s = net.sizes;
  const int64_t D = s.features, C = s.heads * D, h = pair / rows, r = pair % rows;
  const int64_t shared = net.prefix_of[r] * s.heads + h, own = r * s.heads + h;
  attend<T>(room.wide + r * 3 * C + h * D, layer.prefix_k + shared * s.room_of_keys(s.prefix), layer.prefix_v + shared * D * s.prefix,
            layer.own_k + own * s.room_of_keys(s.capacity), layer.own_v + own * D * s.capacity, room.mixed + r * C + h * D, s, thread.scores, thread.q);
}

// Steps of a token: seven a layer, the last norm and the head.
int64_t steps_of(int64_t layers) { return 7 * layers + 2; }

// A thread's part of all rows through all layers.
template <typename T>
void run(const Network<T>& net, int64_t rows, const Room& room, float* logits, const Own& own, Steps::Walk step) {
  const int64_t C = net.sizes.heads * net.sizes.features;
  const auto normalize = [&](const Norm& norm, const float* add) {
    step(rows, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r)
        best<add_norm_row>(room.x + r * C, add == nullptr ? nullptr : add + r * C, norm.weight, norm.bias, room.h + r * C, C, net.eps);
    });
  };
  const auto multiply = [&](const Product<T>& product, const float* in, float* out, bool gelu) {
    step(product.count(), [&](int64_t first, int64_t last) {
      // Rounded for each piece anew: that is less than one more step, at which threads would wait.
      const float* entered = product.enter(in, rows, own.entered);
      for (int64_t p = first; p < last; ++p) product.multiply_by(p, entered, rows, out, gelu);
    });
  };
  normalize(net.layers.empty() ? net.norm : net.layers[0].norm1, nullptr);
  for (size_t i = 0; i < net.layers.size(); ++i) {
    const Layer<T>& layer = net.layers[i];
    multiply(layer.qkv, room.h, room.wide, false);
    step(rows * net.sizes.heads, [&](int64_t first, int64_t last) {
      for (int64_t pair = first; pair < last; ++pair) attend_pair(net, layer, pair, rows, room, own);
    });
    multiply(layer.project, room.mixed, room.y, false);
    normalize(layer.norm2, room.y);
    multiply(layer.expand, room.h, room.wide, true);
    multiply(layer.contract, room.wide, room.y, false);
    normalize(i + 1 < net.layers.size() ? net.layers[i + 1].norm1 : net.norm, room.y);
  }
  multiply(net.head, room.h, logits, false);
}

// The shapes of everything, so that no thread reads past an end.
void check_shapes(const Tensor& x, at::TensorList weights, at::TensorList prefix_k, at::TensorList prefix_v, at::TensorList own_k,
                  at::TensorList own_v, const Tensor& of, int64_t position, int64_t codes) {
  const int64_t L = own_k.size();
  TORCH_CHECK(x.dim() == 2 && codes > 0, "decode_token expects x [B, C] and at least one code, but got ", x.sizes(), " and ", codes);
  TORCH_CHECK(L > 0 && static_cast<int64_t>(weights.size()) == L * kOfLayer + 3 && static_cast<int64_t>(prefix_k.size()) == L &&
                  static_cast<int64_t>(prefix_v.size()) == L && static_cast<int64_t>(own_v.size()) == L,
              "decode_token expects for each layer ", kOfLayer, " weights and 4 caches, and 3 weights more, but got ", weights.size(), " weights and ",
              prefix_k.size(), ", ", prefix_v.size(), ", ", own_k.size(), ", ", own_v.size(), " caches");
  TORCH_CHECK(own_v[0].dim() == 4 && prefix_v[0].dim() == 4, "decode_token expects values of 4 dimensions, but got own_v ", own_v[0].sizes(),
              " and prefix_v ", prefix_v[0].sizes());
  const int64_t B = x.size(0), C = x.size(1), H = own_v[0].size(1), S = own_v[0].size(2), D = own_v[0].size(3), N = prefix_v[0].size(0),
                P = prefix_v[0].size(2), hidden = weights[9].numel();
  const auto blocks = [](int64_t moments) { return (moments + kKeys - 1) / kKeys; };
  TORCH_CHECK(C == H * D && C > 0 && of.dim() == 1 && of.size(0) == B && of.scalar_type() == at::kLong, "decode_token: x ", x.sizes(),
              ", caches of ", H, " heads of ", D, " features, and of ", of.sizes(), " (", of.scalar_type(), ") do not belong together");
  TORCH_CHECK(position >= 0 && position < S, "decode_token: position ", position, " lies outside the cache of ", S);
  const auto vector = [&](int64_t i, int64_t size) {
    TORCH_CHECK(weights[i].dim() == 1 && weights[i].size(0) == size, "decode_token expects weight ", i, " as [", size, "], but got ", weights[i].sizes());
  };
  for (int64_t l = 0; l < L; ++l) {
    const int64_t at = l * kOfLayer;
    for (const int64_t i : {0, 1, 5, 6, 7, 11}) vector(at + i, C);
    vector(at + 3, 3 * C);
    vector(at + 9, hidden);
    check_panels("decode_token", weights[at + 2], C, 3 * C, "queries, keys and values");
    check_panels("decode_token", weights[at + 4], C, C, "the projection");
    check_panels("decode_token", weights[at + 8], C, hidden, "the expansion");
    check_panels("decode_token", weights[at + 10], hidden, C, "the contraction");
    TORCH_CHECK(own_k[l].sizes() == at::IntArrayRef({B, H, blocks(S), D, kKeys}) && own_v[l].sizes() == at::IntArrayRef({B, H, S, D}) &&
                    prefix_k[l].sizes() == at::IntArrayRef({N, H, blocks(P), D, kKeys}) && prefix_v[l].sizes() == at::IntArrayRef({N, H, P, D}),
                "decode_token: the caches of layer ", l, ", prefix_k ", prefix_k[l].sizes(), ", prefix_v ", prefix_v[l].sizes(), ", own_k ",
                own_k[l].sizes(), " and own_v ", own_v[l].sizes(), ", do not belong together");
  }
  vector(L * kOfLayer, C);
  vector(L * kOfLayer + 1, C);
  check_panels("decode_token", weights[L * kOfLayer + 2], C, codes, "the codes");
}

// Own caches are written, so each needs memory of its own. Sorted and not pair by pair: this is asked for every token.
void check_apart(at::TensorList own_k, at::TensorList own_v, const std::vector<Tensor>& read) {
  using Range = std::pair<const char*, const char*>;
  const auto memory = [](const Tensor& tensor) {
    const auto* begin = static_cast<const char*>(tensor.data_ptr());
    return Range{begin, begin + tensor.nbytes()};
  };
  std::vector<Range> written;
  for (const at::TensorList& list : {own_k, own_v})
    for (const Tensor& each : list) {
      kernels::check_writable("decode_token", each);
      if (each.numel() > 0) written.push_back(memory(each));
    }
  std::sort(written.begin(), written.end());
  bool apart = true;
  for (size_t i = 1; i < written.size(); ++i) apart = apart && written[i - 1].second <= written[i].first;
  for (const Tensor& each : read) {
    const Range range = memory(each);
    const auto after = std::upper_bound(written.begin(), written.end(), range, [](const Range& a, const Range& b) { return a.first < b.second; });
    if (each.numel() > 0 && after != written.end()) apart = apart && range.second <= after->first;
  }
  TORCH_CHECK(apart, "decode_token writes into each own cache, so that each needs memory of its own");
}

// Types, devices and memory.
void check_memory(const Tensor& x, at::TensorList weights, at::TensorList prefix_k, at::TensorList prefix_v, at::TensorList own_k,
                  at::TensorList own_v, const Tensor& of) {
  const auto type = own_k[0].scalar_type();
  TORCH_CHECK(type == at::kFloat || type == at::kBFloat16, "decode_token expects caches in float32 or bfloat16, but got ", type);
  bool fits = is_flat(x, at::kFloat) && of.is_cpu() && of.is_contiguous();
  for (const Tensor& each : weights) fits = fits && is_flat(each, each.dim() == 4 ? type : at::kFloat);
  for (const at::TensorList& list : {prefix_k, prefix_v, own_k, own_v})
    for (const Tensor& each : list) fits = fits && is_flat(each, type);
  TORCH_CHECK(fits, "decode_token works on the CPU, with contiguous tensors: x, norms and biases in float32, panels and caches in one dtype");
  std::vector<Tensor> read{x, of};
  for (const at::TensorList& list : {weights, prefix_k, prefix_v}) read.insert(read.end(), list.begin(), list.end());
  kernels::check_constant("decode_token", read);
  check_apart(own_k, own_v, read);
}

template <typename T>
Network<T> network_of(at::TensorList weights, at::TensorList prefix_k, at::TensorList prefix_v, at::TensorList own_k, at::TensorList own_v,
                      const Tensor& of, Sizes sizes, int64_t codes, double eps) {
  const auto floats = [&](int64_t i) { return static_cast<const float*>(weights[i].data_ptr()); };
  const auto norm = [&](int64_t i) { return Norm{floats(i), floats(i + 1)}; };
  const auto cache = [](const Tensor& tensor) { return static_cast<T*>(tensor.data_ptr()); };
  const auto product = [&](int64_t i, int64_t inputs) { return Product<T>{cache(weights[i]), floats(i + 1), inputs, weights[i + 1].numel()}; };
  const int64_t C = sizes.heads * sizes.features;
  Network<T> net;
  for (int64_t l = 0, at = 0; l < static_cast<int64_t>(own_k.size()); ++l, at += kOfLayer)
    net.layers.push_back({norm(at), norm(at + 6), product(at + 2, C), product(at + 4, C), product(at + 8, C),
                          product(at + 10, weights[at + 9].numel()), cache(prefix_k[l]), cache(prefix_v[l]), cache(own_k[l]), cache(own_v[l])});
  const Tensor& head = weights[weights.size() - 1];
  net.norm = norm(weights.size() - 3);
  net.head = {cache(head), nullptr, C, codes};
  net.prefix_of = of.data_ptr<int64_t>();
  net.sizes = sizes;
  net.hidden = weights[9].numel();
  net.eps = static_cast<float>(eps);
  return net;
}

template <typename T>
void run_all(const Network<T>& net, const Tensor& x, Tensor& logits) {
  const int64_t B = x.size(0), C = x.size(1), wide = std::max(net.hidden, 3 * C), threads = at::get_num_threads();
  // Scores are written by blocks, so the last one may reach beyond the last moment.
  const int64_t past = net.sizes.prefix + net.sizes.position + kKeys;
  const int64_t entered = Product<T>::rounds() ? B * (std::max(net.hidden, C) + 1) : 0, each = past + net.sizes.features + entered;
  const Tensor memory = at::empty({B * (4 * C + wide) + threads * each}, x.options());
  float* m = memory.data_ptr<float>();
  const Room room{m, m + B * C, m + 2 * B * C, m + 4 * B * C, m + 3 * B * C};
  std::copy_n(x.data_ptr<float>(), B * C, room.x);
  float *own = room.wide + B * wide, *out = logits.data_ptr<float>();
  const Steps steps(steps_of(net.layers.size()), threads);
  parallel_for(0, threads, 1, [&](int64_t thread, int64_t) {
    float* scores = own + thread * each;
    run(net, B, room, out, Own{scores, scores + past, scores + past + net.sizes.features}, Steps::Walk(steps));
  });
}

// Feeds one token of each sequence, x [B, C], and returns the logits of the next, [B, codes]. Keys and values enter the own
// caches at `position`. `weights` are for each layer norm1 (weight, bias), panels and bias of qkv and project, norm2, panels and
// bias of expand and contract; then the last norm and the panels of the head.
Tensor decode_token(const Tensor& x, at::TensorList weights, at::TensorList prefix_k, at::TensorList prefix_v, at::TensorList own_k,
                    at::TensorList own_v, const Tensor& of, int64_t position, int64_t codes, double eps) {
  check_shapes(x, weights, prefix_k, prefix_v, own_k, own_v, of, position, codes);
  check_memory(x, weights, prefix_k, prefix_v, own_k, own_v, of);
  const int64_t prefixes = prefix_k[0].size(0);
  for (int64_t b = 0; b < x.size(0); ++b) {
    const int64_t place = of.data_ptr<int64_t>()[b];
    TORCH_CHECK(place >= 0 && place < prefixes, "decode_token: sequence ", b, " names prefix ", place, " of ", prefixes);
  }
  const Sizes sizes{own_v[0].size(1), own_v[0].size(3), prefix_v[0].size(2), own_v[0].size(2), position};
  Tensor logits = at::empty({x.size(0), codes}, x.options());
  if (own_k[0].scalar_type() == at::kFloat)
    run_all(network_of<float>(weights, prefix_k, prefix_v, own_k, own_v, of, sizes, codes, eps), x, logits);
  else
    run_all(network_of<Bf16>(weights, prefix_k, prefix_v, own_k, own_v, of, sizes, codes, eps), x, logits);
  for (const at::TensorList& list : {own_k, own_v})
    for (const Tensor& each : list) note_change(each);
  return logits;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(iqvae, m) {
  m.def(
      "decode_token(Tensor x, Tensor[] weights, Tensor[] prefix_k, Tensor[] prefix_v, Tensor(a!)[] own_k, Tensor(b!)[] own_v, Tensor of, "
      "int position, int codes, float eps) -> Tensor",
      decode_token);
}
