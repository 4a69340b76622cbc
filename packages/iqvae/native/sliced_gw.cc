// Sliced Gromov-Wasserstein in one pass a direction: sort both sides, cost from power sums, gradient put back in place.
//
// libtorch's sort of 2 × 50 rows of 4,096 takes most of the time of the whole divergence, and every elementwise operator
// around it reads and writes all rows again. Here a row stays in the cache from its sort to its gradient.
#include "history.h"
#include "parallel.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <vector>

namespace {

constexpr int kDigitBits = 11, kDigits = 3, kBuckets = 1 << kDigitBits;

// One side of a direction. `values` are sorted and centered, `order[k]` is where the k-th smallest stood.
struct Side {
  std::vector<double> values;
  std::vector<uint32_t> order;
};

struct Scratch {
  Side x, y;
  std::vector<uint64_t> entries, other;
  std::array<uint32_t, kDigits * kBuckets> counts;

  explicit Scratch(size_t n) : x{std::vector<double>(n), std::vector<uint32_t>(n)}, y(x), entries(n), other(n) {}
};

// Bits that grow as the float grows: all bits of a negative number are flipped, and the sign of a positive one.
uint32_t key_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits ^ (static_cast<uint32_t>(-static_cast<int32_t>(bits >> 31)) | 0x80000000u);
}

float value_of(uint32_t key) {
  const uint32_t bits = key ^ (((key >> 31) - 1u) | 0x80000000u);
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Radix sort of (key, position) by the key, least significant digit first: three passes of 11 bits.
void sort_centered(const float* row, size_t n, Scratch& scratch, Side& side) {
  scratch.counts.fill(0);
  for (size_t i = 0; i < n; ++i) {
    const uint32_t key = key_of(row[i]);
    scratch.entries[i] = static_cast<uint64_t>(key) << 32 | i;
    for (int digit = 0; digit < kDigits; ++digit)
      ++scratch.counts[digit * kBuckets + ((key >> (digit * kDigitBits)) & (kBuckets - 1))];
  }
  for (int digit = 0; digit < kDigits; ++digit) {
    uint32_t* start = scratch.counts.data() + digit * kBuckets;
    uint32_t position = 0;
    for (int bucket = 0; bucket < kBuckets; ++bucket) {
      const uint32_t count = start[bucket];
      start[bucket] = position;
      position += count;
    }
    const int shift = 32 + digit * kDigitBits;
    for (const uint64_t entry : scratch.entries) scratch.other[start[(entry >> shift) & (kBuckets - 1)]++] = entry;
    scratch.entries.swap(scratch.other);
  }
  double sum = 0;
  for (size_t k = 0; k < n; ++k) {
    side.order[k] = static_cast<uint32_t>(scratch.entries[k]);
    sum += side.values[k] = value_of(static_cast<uint32_t>(scratch.entries[k] >> 32));
  }
  const double mean = sum / static_cast<double>(n);
  for (double& value : side.values) value -= mean;
}

// The cost of the better matching, and its gradient. The formulas are derived in the TypeScript of the divergence
// (regularizer/sliced.ts); this is the same computation with the rows kept in the cache.
double match(const Scratch& scratch, size_t count, float* grad_x, float* grad_y) {
  const double* x = scratch.x.values.data();
  const double* y = scratch.y.values.data();
  const double n = static_cast<double>(count);

  double x2 = 0, y2 = 0, up = 0, up2 = 0, down = 0, down2 = 0;
  for (size_t k = 0; k < count; ++k) {
    const double rising = x[k] * y[k], falling = x[k] * y[count - 1 - k];
    x2 += x[k] * x[k];
    y2 += y[k] * y[k];
    up += rising;
    up2 += rising * rising;
    down += falling;
    down2 += falling * falling;
  }
  const bool increasing = n * up2 + 2 * up * up >= n * down2 + 2 * down * down;
  const double p = increasing ? up : down;

  double u_sum = 0, u2_sum = 0, ux_sum = 0, uy_sum = 0;
  const auto partner = [&](size_t k) { return increasing ? k : count - 1 - k; };
  for (size_t k = 0; k < count; ++k) {
    const double b = y[partner(k)], u = (x[k] - b) * (x[k] + b);
    u_sum += u;
    u2_sum += u * u;
    ux_sum += u * x[k];
    uy_sum += u * b;
  }
  const double scale = 8 / (n * n);
  for (size_t k = 0; k < count; ++k) {
    const size_t j = partner(k);
    const double a = x[k], b = y[j], u = (a - b) * (a + b);
    grad_x[scratch.x.order[k]] = static_cast<float>(scale * (n * u * a + 3 * u_sum * a + 2 * (y2 * a - p * b) - ux_sum));
    grad_y[scratch.y.order[j]] = static_cast<float>(scale * (2 * (x2 * b - p * a) - n * u * b - 3 * u_sum * b + uy_sum));
  }
  return (2 * n * u2_sum + 6 * u_sum * u_sum + 8 * std::max(0.0, x2 * y2 - p * p)) / (n * n);
}

// x, y [L, n] → cost [L] (float64), gradients of each row's cost [L, n].
std::tuple<at::Tensor, at::Tensor, at::Tensor> sliced_gw(const at::Tensor& x, const at::Tensor& y) {
  TORCH_CHECK(x.dim() == 2 && x.sizes() == y.sizes() && x.numel() > 0, "sliced_gw() expects two filled matrices of one shape, got ",
              x.sizes(), " and ", y.sizes());
  TORCH_CHECK(x.scalar_type() == at::kFloat && y.scalar_type() == at::kFloat, "sliced_gw() expects float32, got ",
              x.scalar_type(), " and ", y.scalar_type());
  kernels::check_one_device("sliced_gw()", {x, y});
  kernels::check_constant("sliced_gw()", {x, y});
  const at::Tensor rows_x = x.contiguous().resolve_neg(), rows_y = y.contiguous().resolve_neg();
  at::Tensor cost = at::empty({x.size(0)}, x.options().dtype(at::kDouble));
  at::Tensor grad_x = at::empty_like(rows_x), grad_y = at::empty_like(rows_y);
  if (x.is_meta()) return {cost, grad_x, grad_y};
  const size_t n = static_cast<size_t>(x.size(1));
  const float *from_x = rows_x.data_ptr<float>(), *from_y = rows_y.data_ptr<float>();
  float *to_x = grad_x.data_ptr<float>(), *to_y = grad_y.data_ptr<float>();
  double* costs = cost.data_ptr<double>();
  kernels::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
    Scratch scratch(n);
    for (int64_t row = begin; row < end; ++row) {
      sort_centered(from_x + row * n, n, scratch, scratch.x);
      sort_centered(from_y + row * n, n, scratch, scratch.y);
      costs[row] = match(scratch, n, to_x + row * n, to_y + row * n);
    }
  });
  return {cost, grad_x, grad_y};
}

TORCH_LIBRARY_FRAGMENT(iqvae, library) {
  library.def("sliced_gw(Tensor x, Tensor y) -> (Tensor cost, Tensor grad_x, Tensor grad_y)");
}

TORCH_LIBRARY_IMPL(iqvae, CPU, library) { library.impl("sliced_gw", sliced_gw); }
TORCH_LIBRARY_IMPL(iqvae, Meta, library) { library.impl("sliced_gw", sliced_gw); }
// On the CPU this is the default.
TORCH_LIBRARY_IMPL(iqvae, AutogradMeta, library) { library.impl("sliced_gw", torch::CppFunction::makeFallthrough()); }

}  // namespace
