// The launches of group normalization: partial sums, which are folded to one a channel, what follows of them, and the images.
#include "norm.h"

#ifdef HAS_CUDA
#include "norm_plan.h"
#include "program.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/cuda/CUDAGuard.h>
#endif

namespace cuda_kernels {

using at::Tensor;

#ifdef HAS_CUDA
namespace {

Program& program() {
  static auto* made = new Program("norm_kernels.h",
#include "norm_kernels.h"
  );
  return *made;
}

int64_t divided(int64_t count, int64_t by) { return (count + by - 1) / by; }

struct Images {
  Images(const Tensor& x, const Tensor& mean, std::initializer_list<Tensor> all)
      : count(x.size(0)), rows(x.size(2) * x.size(3)), channels(x.size(1)), groups(mean.size(1)) {
    const int64_t wide = 16 / x.element_size();
    bool aligned = channels % wide == 0;  // vectors must lie on multiples of their size
    for (const Tensor& each : all) aligned = aligned && reinterpret_cast<uintptr_t>(each.data_ptr()) % 16 == 0;
    const bool single = x.scalar_type() == at::kFloat;
    type = single ? (aligned ? "_float4" : "_float1") : (aligned ? "_bf16x8" : "_bf16x1");
    plan = norm_plan(count, rows, channels, aligned ? wide : 1);
  }
  Extent grid() const { return {plan.blocks, count, plan.tiles}; }
  Extent block() const { return {plan.across, plan.lanes}; }
  Extent by_group() const { return {divided(count * groups, kFew)}; }

  static constexpr int64_t kFew = 32;  // threads of a block where there are few in all
  const int64_t count;
  const long long rows;
  const int channels, groups;
  std::string type;
  NormPlan plan;
};

float* floats(const Tensor& tensor) { return tensor.data_ptr<float>(); }

Tensor room_for_sums(const Images& images, const Tensor& like) {
  return at::empty({images.count, images.plan.chunks(), 2, images.channels}, like.options());
}

// [B, chunks, 2, C] → [B, 1, 2, C].
Tensor folded(Tensor sums, const Images& images) {
  const int width = 2 * images.channels;
  while (sums.size(1) > 1) {
    const int count = static_cast<int>(sums.size(1));
    const Tensor next = at::empty({images.count, norm_parts(count), 2, images.channels}, sums.options());
    program().launch("fold", {divided(width, 128), next.size(1), images.count}, {128}, floats(sums), floats(next), count, width);
    sums = next;
  }
  return sums;
}

}  // namespace

// The second size of a grid, which counts images, has this limit.
bool can_normalize(const Tensor& x) { return x.is_cuda() && x.size(0) <= 65535 && program().loads(x.device().index()); }

void normalize(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, bool silu, const Tensor& y, const Tensor& mean,
               const Tensor& rstd) {
  const c10::cuda::CUDAGuard guard(x.device());
  const Images images(x, mean, {x, y});
  const NormPlan& plan = images.plan;
  const Tensor partial = room_for_sums(images, mean);
  program().launch("forward_sums" + images.type, images.grid(), images.block(), x.data_ptr(), floats(partial), images.rows, images.channels,
                   plan.steps);
  const Tensor sums = folded(partial, images);
  program().launch("forward_finish" + images.type, images.by_group(), {Images::kFew}, x.data_ptr(), floats(sums), floats(mean), floats(rstd),
                   static_cast<int>(images.count), images.rows, images.channels, images.groups, eps);
  program().launch("forward_apply" + images.type, images.grid(), images.block(), x.data_ptr(), y.data_ptr(), floats(mean), floats(rstd),
                   floats(weight), floats(bias), images.rows, images.channels, images.groups, plan.steps, static_cast<int>(silu));
}

void normalize_backward(const Tensor& x, const Tensor& dy, const Tensor& weight, const Tensor& bias, const Tensor& mean, const Tensor& rstd,
                        bool silu, const Tensor& dx, const Tensor& dgamma, const Tensor& dbeta) {
  const c10::cuda::CUDAGuard guard(x.device());
  const Images images(x, mean, {x, dy, dx});
  const NormPlan& plan = images.plan;
  const int with_silu = silu;
  const Tensor partial = room_for_sums(images, mean), slope = at::empty_like(mean), offset = at::empty_like(mean);
  program().launch("gradient_sums" + images.type, images.grid(), images.block(), x.data_ptr(), dy.data_ptr(), floats(mean), floats(rstd),
                   floats(weight), floats(bias), floats(partial), images.rows, images.channels, images.groups, plan.steps, with_silu);
  const Tensor sums = folded(partial, images);
  program().launch("gradient_finish", images.by_group(), {Images::kFew}, floats(sums), floats(mean), floats(rstd), floats(weight), floats(dgamma),
                   floats(dbeta), floats(slope), floats(offset), static_cast<int>(images.count), images.rows, images.channels, images.groups);
  program().launch("gradient_apply" + images.type, images.grid(), images.block(), x.data_ptr(), dy.data_ptr(), dx.data_ptr(), floats(mean),
                   floats(rstd), floats(weight), floats(bias), floats(slope), floats(offset), images.rows, images.channels, images.groups,
                   plan.steps, with_silu);
}

#else

bool can_normalize(const Tensor&) { return false; }
void normalize(const Tensor&, const Tensor&, const Tensor&, double, bool, const Tensor&, const Tensor&, const Tensor&) {
  TORCH_CHECK(false, "the addon was built without CUDA");
}
void normalize_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, bool, const Tensor&,
                        const Tensor&, const Tensor&) {
  TORCH_CHECK(false, "the addon was built without CUDA");
}

#endif

}  // namespace cuda_kernels
