// The meta device, whose tensors have shapes and no memory: what libtorch leaves to Python there, and how many bytes its live
// tensors would take elsewhere. With it a training step can be run for what it costs.
#include <ATen/ExpandUtils.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/result_type.h>
#include <c10/core/Allocator.h>
#include <torch/library.h>
#include <torch/version.h>

#include <atomic>
#include <limits>

namespace {

using at::Tensor;

std::atomic<int64_t> live_bytes{0}, peak_bytes{0};

// Allocates nothing and keeps count. Tensors may come and go on several threads.
struct CountingAllocator final : c10::Allocator {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 3)
  c10::DataPtr allocate(size_t bytes) override { return counted(bytes); }
  void copy_data(void*, const void*, std::size_t) const override {}
#else
  c10::DataPtr allocate(size_t bytes) const override { return counted(bytes); }
#endif
  static c10::DataPtr counted(size_t bytes) {
    const int64_t size = static_cast<int64_t>(bytes), live = live_bytes += size;
    for (int64_t peak = peak_bytes; live > peak && !peak_bytes.compare_exchange_weak(peak, live);) {
    }
    const auto forget = [](void* context) {
      live_bytes -= *static_cast<int64_t*>(context);
      delete static_cast<int64_t*>(context);
    };
    return {nullptr, new int64_t(size), forget, c10::Device(c10::kMeta)};
  }
};

// Kernels that give tensors of the right shape.

at::MemoryFormat format_of(const Tensor& x, const Tensor& weight) {
  const auto format = x.suggest_memory_format();
  return format == at::MemoryFormat::Contiguous ? weight.suggest_memory_format() : format;
}

Tensor convolution(const Tensor& x, const Tensor& weight, const c10::optional<Tensor>&, at::IntArrayRef stride, at::IntArrayRef padding,
                   at::IntArrayRef dilation, bool transposed, at::IntArrayRef, int64_t) {
  TORCH_CHECK(!transposed, "transposed convolutions have no shapes on the meta device here");
  std::vector<int64_t> sizes{x.size(0), weight.size(0)};
  for (int64_t i = 0; i + 2 < x.dim(); ++i)
    sizes.push_back((x.size(i + 2) + 2 * padding[i] - dilation[i] * (weight.size(i + 2) - 1) - 1) / stride[i] + 1);
  return at::empty(sizes, x.options(), format_of(x, weight));
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, at::IntArrayRef,
                                                        at::IntArrayRef, at::IntArrayRef, bool, at::IntArrayRef, int64_t,
                                                        std::array<bool, 3> wanted) {
  const auto like = [format = format_of(x, weight)](const Tensor& side) { return at::empty(side.sizes(), side.options(), format); };
  return {wanted[0] ? like(x) : Tensor(), wanted[1] ? like(weight) : Tensor(),
          wanted[2] ? at::empty({weight.size(0)}, weight.options()) : Tensor()};
}

std::tuple<Tensor, Tensor, Tensor> layer_norm(const Tensor& x, at::IntArrayRef shape, const c10::optional<Tensor>&,
                                              const c10::optional<Tensor>&, double) {
  std::vector<int64_t> rows(x.sizes().begin(), x.sizes().end());
  std::fill(rows.end() - static_cast<int64_t>(shape.size()), rows.end(), 1);
  const auto wide = x.options().dtype(at::kFloat);
  return {at::empty_like(x), at::empty(rows, wide), at::empty(rows, wide)};
}

std::tuple<Tensor, Tensor, Tensor> layer_norm_backward(const Tensor& dy, const Tensor& x, at::IntArrayRef, const Tensor&, const Tensor&,
                                                       const c10::optional<Tensor>& weight, const c10::optional<Tensor>& bias,
                                                       std::array<bool, 3> wanted) {
  return {wanted[0] ? at::empty_like(x) : Tensor(), wanted[1] ? at::empty_like(*weight) : Tensor(), wanted[2] ? at::empty_like(*bias) : Tensor()};
}

Tensor& abs_out(const Tensor& x, Tensor& out) {
  out.resize_(x.sizes(), x.suggest_memory_format());
  return out;
}

Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index) {
  std::vector<int64_t> sizes(x.sizes().begin(), x.sizes().end());
  sizes[at::maybe_wrap_dim(dim, x.dim())] = index.numel();
  return at::empty(sizes, x.options());
}

Tensor embedding_backward(const Tensor& dy, const Tensor&, int64_t rows, int64_t, bool) { return at::empty({rows, dy.size(-1)}, dy.options()); }

Tensor relu(const Tensor& x) { return at::empty_like(x); }

Tensor dot(const Tensor& a, const Tensor&) { return at::empty({}, a.options()); }

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  const auto sizes = at::infer_size(condition.sizes(), at::infer_size(a.sizes(), b.sizes()));
  return at::empty(sizes, condition.options().dtype(at::result_type(a, b)));
}

// There is no value to read.
at::Scalar item(const Tensor&) { return std::numeric_limits<double>::quiet_NaN(); }

// Only what this libtorch lacks: newer ones have more of them.
template <typename Kernel>
void fill_in(torch::Library& library, const char* name, const char* overload, Kernel kernel) {
  const auto found = c10::Dispatcher::singleton().findSchema({std::string("aten::") + name, overload});
  if (!found || found->hasKernelForDispatchKey(c10::DispatchKey::Meta)) return;
  const std::string full = *overload ? std::string(name) + "." + overload : name;
  library.impl(full.c_str(), kernel);
}

CountingAllocator allocator;

TORCH_LIBRARY(meta, library) {
  library.def("live_bytes() -> int", []() -> int64_t { return live_bytes; });
  library.def("peak_bytes() -> int", []() -> int64_t { return peak_bytes; });
  library.def("reset_peak() -> ()", []() { peak_bytes = live_bytes.load(); });
}

TORCH_LIBRARY_IMPL(aten, Meta, library) {
  c10::SetAllocator(c10::kMeta, &allocator, 1);
  fill_in(library, "convolution_overrideable", "", convolution);
  fill_in(library, "convolution_backward_overrideable", "", convolution_backward);
  fill_in(library, "native_layer_norm", "", layer_norm);
  fill_in(library, "native_layer_norm_backward", "", layer_norm_backward);
  fill_in(library, "abs", "out", abs_out);
  fill_in(library, "index_select", "", index_select);
  fill_in(library, "embedding_dense_backward", "", embedding_backward);
  fill_in(library, "relu", "", relu);
  fill_in(library, "dot", "", dot);
  fill_in(library, "where", "self", where);
  fill_in(library, "_local_scalar_dense", "", item);
}

}  // namespace
