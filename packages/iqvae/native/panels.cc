// Weights in panels, and products of many rows by them; decode.cc has those of one token.
#include "history.h"
#include "panels.h"
#include "parallel.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <torch/library.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <algorithm>
#include <mutex>
#include <vector>

namespace {

using at::Tensor;
using namespace kernels;

// A weight [O, I] as panels (see kPanel), filled up with zeros; of `together` inputs side by side.
Tensor pack_panels(const Tensor& weight, int64_t together) {
  TORCH_CHECK(weight.dim() == 2 && (together == 1 || together == 2), "pack_panels expects a weight [O, I] and 1 or 2 inputs side by side, but got ",
              weight.sizes(), " and ", together);
  const int64_t O = weight.size(0), I = weight.size(1);
  const std::vector<int64_t> shape = shape_of_panels(together, I, O);
  const int64_t panels = shape[0], lines = shape[2];
  const Tensor padded = at::constant_pad_nd(weight, {0, lines * together - I, 0, panels * kPanel - O});
  return padded.reshape({panels, kPanel / kHalf, kHalf, lines, together}).transpose(2, 3).reshape(shape).contiguous();
}

// So many rows go through a panel while it is in the cache of the processor.
constexpr int64_t kRows = 64;

template <typename T>
void multiply_by_panels(const Tensor& x, const Tensor& panels, const Tensor& bias, int64_t outputs, bool gelu, Tensor& out) {
  const int64_t inputs = x.size(-1), rows = out.numel() / std::max<int64_t>(outputs, 1);
  const Product<T> product{static_cast<const T*>(panels.data_ptr()), bias.defined() ? bias.data_ptr<float>() : nullptr, inputs, outputs};
  const Tensor memory = at::empty({product.rounds() ? rows * product.stride() : 0}, x.options());
  const float* in = x.data_ptr<float>();
  float *result = out.data_ptr<float>(), *room = memory.data_ptr<float>();
  const float* entered = in;
  if (product.rounds()) {
    parallel_for(0, rows, kRows, [&](int64_t begin, int64_t end) {
      product.enter(in + begin * inputs, end - begin, room + begin * product.stride());
    });
    entered = room;
  }
  const int64_t blocks = (rows + kRows - 1) / kRows, count = product.count();
  parallel_for(0, blocks * count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / count * kRows, panel = i % count, some = std::min(kRows, rows - first);
      product.multiply_by(panel, entered + first * product.stride(), some, result + first * outputs, gelu);
    }
  });
}

// x [·, I] times a weight [outputs, I] in panels, plus a bias, then GELU if it is asked for. The work is shared out to threads by
// rows and outputs: a row has the same bits among any others and on any number of threads, unlike those of a BLAS.
Tensor panel_linear(const Tensor& x, const Tensor& panels, const c10::optional<Tensor>& given, int64_t outputs, bool gelu) {
  const Tensor bias = or_none(given);
  TORCH_CHECK(x.dim() > 0 && outputs >= 0, "panel_linear expects x [..., I] and outputs of at least 0, but got ", x.sizes(), " and ", outputs);
  check_panels("panel_linear", panels, x.size(-1), outputs, "x and outputs");
  TORCH_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == outputs), "panel_linear expects a bias [", outputs, "], but got ", bias.sizes());
  const auto type = panels.scalar_type();
  TORCH_CHECK((type == at::kFloat || type == at::kBFloat16) && is_flat(panels, type) && is_flat(x, at::kFloat) &&
                  (!bias.defined() || is_flat(bias, at::kFloat)),
              "panel_linear works on the CPU, with contiguous tensors: x and bias in float32, panels in float32 or bfloat16");
  check_constant("panel_linear", {x, panels, bias});
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = outputs;
  Tensor out = at::empty(sizes, x.options());
  if (type == at::kFloat)
    multiply_by_panels<float>(x, panels, bias, outputs, gelu, out);
  else
    multiply_by_panels<Bf16>(x, panels, bias, outputs, gelu, out);
  return out;
}

constexpr int64_t kPage = int64_t{1} << 21, kLine = 64;

#ifdef __linux__
// Memory of the system in large pages. What was let go of is kept for the next block of the same size, up to a limit: every batch of
// sequences asks for the same, and a system clears new pages, which takes 14 to 130 ms for 100 MB.
class Blocks {
 public:
  // Null where there is none.
  void* take(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Block& each) { return each.bytes == bytes; });
    if (found == kept_.end()) return map(bytes);
    void* memory = found->memory;
    held_ -= bytes;
    kept_.erase(found);
    return memory;
  }

  void give_back(void* memory, size_t bytes) {
    if (bytes > kMost) {
      munmap(memory, bytes);
      return;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    kept_.push_back({memory, bytes});
    for (held_ += bytes; held_ > kMost; kept_.erase(kept_.begin())) {
      munmap(kept_.front().memory, kept_.front().bytes);
      held_ -= kept_.front().bytes;
    }
  }

 private:
  static constexpr size_t kMost = size_t{256} << 20;

  struct Block {
    void* memory;
    size_t bytes;
  };

  static void* map(size_t bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    madvise(memory, bytes, MADV_HUGEPAGE);  // a hint: a system without large pages says no
    return memory;
  }

  std::mutex mutex_;
  std::vector<Block> kept_;  // the oldest first
  size_t held_ = 0;
};
#endif

// Memory of its own, which the system may hold in large pages: that is decided when a page is written for the first time, so none of
// the allocator's, which may have been. What is smaller than a page, and where there are none, is ordinary memory.
Tensor block_of(int64_t elements, const at::TensorOptions& options) {
#ifdef __linux__
  static Blocks& blocks = *new Blocks;  // tensors may outlive what is destroyed at the end of the process
  const int64_t bytes = elements * static_cast<int64_t>(options.dtype().itemsize());
  if (options.device().is_cpu() && bytes >= kPage) {
    const size_t all = bytes + kPage;
    if (void* memory = blocks.take(all)) {
      const auto first = (reinterpret_cast<uintptr_t>(memory) + kPage - 1) / kPage * kPage;
      return at::from_blob(reinterpret_cast<void*>(first), {elements}, [memory, all](void*) { blocks.give_back(memory, all); }, options);
    }
  }
#endif
  return at::empty({elements}, options);
}

// Copies of all tensors, one after the other in one block of memory, which the system may hold in large pages: what is read from its
// beginning to its end, again and again, then takes less time, since fewer addresses are looked up.
std::vector<Tensor> in_large_pages(at::TensorList tensors) {
  std::vector<Tensor> copies;
  if (tensors.empty()) return copies;
  check_one_device("in_large_pages", tensors);
  check_constant("in_large_pages", tensors);
  const auto room = [](const Tensor& tensor) { return (tensor.numel() + kLine - 1) / kLine * kLine; };
  int64_t total = 0;
  for (const Tensor& each : tensors) {
    TORCH_CHECK(each.scalar_type() == tensors[0].scalar_type() && each.layout() == at::kStrided,
                "in_large_pages expects dense tensors of one dtype, but got ", each.scalar_type(), " (", each.layout(), ") beside ",
                tensors[0].scalar_type());
    total += room(each);
  }
  const Tensor block = block_of(total, tensors[0].options());
  int64_t at = 0;
  for (const Tensor& each : tensors) {
    copies.push_back(block.narrow(0, at, each.numel()).view(each.sizes()).copy_(each));
    at += room(each);
  }
  return copies;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(iqvae, m) {
  m.def("pack_panels(Tensor weight, int together) -> Tensor", pack_panels);
  m.def("panel_linear(Tensor x, Tensor panels, Tensor? bias, int outputs, bool gelu) -> Tensor", panel_linear);
  m.def("in_large_pages(Tensor[] tensors) -> Tensor[]", in_large_pages);
}
