// The text that NVRTC compiles, run on the processor: its threads never wait for one another, so that one after another is exact.
#include "check.h"
#include "cuda/norm_plan.h"

#include <string>

namespace {

struct Three {
  unsigned x = 1, y = 1, z = 1;
} gridDim, blockDim, blockIdx, threadIdx;

unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}
float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
float __fdividef(float a, float b) { return a / b; }
#define __expf(x) std::exp(x)
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

}  // namespace

namespace device {
using std::sqrt;
#include "norm_kernels.inc"
}  // namespace device

namespace {

template <typename Kernel, typename... Args>
void launch(Kernel kernel, Three grid, Three block, Args... args) {
  gridDim = grid, blockDim = block;
  for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x)
        for (threadIdx.y = 0; threadIdx.y < block.y; ++threadIdx.y)
          for (threadIdx.x = 0; threadIdx.x < block.x; ++threadIdx.x) kernel(args...);
}

using Floats = std::vector<float>;
using device::Bf16;

struct Size {
  int images, rows, channels, groups;
  bool silu;
  float mean, spread;
  int at(int image, int row, int c) const { return (image * rows + row) * channels + c; }
  int count() const { return images * rows * channels; }
};

// One of the variants of the kernels, which differ in their elements and how many of them a thread owns.
#define VARIANT(NAME, TYPE, WIDTH)                                         \
  struct NAME {                                                            \
    using T = TYPE;                                                        \
    static constexpr int kWidth = WIDTH;                                   \
    static constexpr const char* kName = #NAME;                            \
    static constexpr auto forward_sums = device::forward_sums_##NAME;      \
    static constexpr auto forward_finish = device::forward_finish_##NAME;  \
    static constexpr auto forward_apply = device::forward_apply_##NAME;    \
    static constexpr auto gradient_sums = device::gradient_sums_##NAME;    \
    static constexpr auto gradient_apply = device::gradient_apply_##NAME;  \
  };
VARIANT(float4, float, 4)
VARIANT(float1, float, 1)
VARIANT(bf16x8, Bf16, 8)
VARIANT(bf16x1, Bf16, 1)

template <typename T>
std::vector<T> narrowed(const Floats& values) {
  std::vector<T> out(values.size());
  for (size_t i = 0; i < values.size(); ++i) device::store(&out[i], {values[i]});
  return out;
}
template <typename T>
Floats widened(const std::vector<T>& values) {
  Floats out(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    float one[1];
    device::load<T, 1>(&values[i], one);
    out[i] = one[0];
  }
  return out;
}

unsigned cut(int64_t count, int64_t by) { return static_cast<unsigned>((count + by - 1) / by); }

Floats folded(Floats sums, const Size& size) {
  int64_t count = static_cast<int64_t>(sums.size()) / (2 * size.images * size.channels);
  const int width = 2 * size.channels;
  while (count > 1) {
    const int64_t parts = cuda_kernels::norm_parts(count);
    Floats next(size.images * parts * width, NAN);
    launch(device::fold, {cut(width, 128), static_cast<unsigned>(parts), static_cast<unsigned>(size.images)}, {128}, sums.data(), next.data(),
           static_cast<int>(count), width);
    sums = next, count = parts;
  }
  return sums;
}

struct Result {
  Floats y, dx, dgamma, dbeta;
};

template <typename V>
Result of_kernels(const Size& s, const Floats& wide_x, const Floats& wide_dy, const Floats& gamma, const Floats& beta) {
  using T = typename V::T;
  const cuda_kernels::NormPlan plan = cuda_kernels::norm_plan(s.images, s.rows, s.channels, V::kWidth);
  const Three grid{plan.blocks, static_cast<unsigned>(s.images), plan.tiles}, block{plan.across, plan.lanes};
  const Three few{cut(s.images * s.groups, 32)};
  const std::vector<T> x = narrowed<T>(wide_x), dy = narrowed<T>(wide_dy);
  std::vector<T> y(s.count()), dx(s.count());
  Floats partial(s.images * plan.chunks() * 2 * s.channels, NAN), mean(s.images * s.groups, NAN), rstd = mean, slope = mean, offset = mean;
  Floats dgamma(s.images * s.channels, NAN), dbeta = dgamma;
  const long long rows = s.rows;
  launch(V::forward_sums, grid, block, x.data(), partial.data(), rows, s.channels, plan.steps);
  Floats sums = folded(partial, s);
  launch(V::forward_finish, few, {32}, x.data(), sums.data(), mean.data(), rstd.data(), s.images, rows, s.channels, s.groups, 1e-5);
  launch(V::forward_apply, grid, block, x.data(), y.data(), mean.data(), rstd.data(), gamma.data(), beta.data(), rows, s.channels, s.groups,
         plan.steps, int{s.silu});
  launch(V::gradient_sums, grid, block, x.data(), dy.data(), mean.data(), rstd.data(), gamma.data(), beta.data(), partial.data(), rows,
         s.channels, s.groups, plan.steps, int{s.silu});
  sums = folded(partial, s);
  launch(device::gradient_finish, few, {32}, sums.data(), mean.data(), rstd.data(), gamma.data(), dgamma.data(), dbeta.data(), slope.data(),
         offset.data(), s.images, rows, s.channels, s.groups);
  launch(V::gradient_apply, grid, block, x.data(), dy.data(), dx.data(), mean.data(), rstd.data(), gamma.data(), beta.data(), slope.data(),
         offset.data(), rows, s.channels, s.groups, plan.steps, int{s.silu});
  return {widened(y), widened(dx), dgamma, dbeta};
}

// The same in double precision, by the definition: x̂ = (x − mean)·rstd, z = γ·x̂ + β, and dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), g = γ·dz.
Result by_definition(const Size& s, const Floats& x, const Floats& dy, const Floats& gamma, const Floats& beta) {
  Result out{Floats(s.count()), Floats(s.count()), Floats(s.images * s.channels), Floats(s.images * s.channels)};
  const int width = s.channels / s.groups;
  const double count = static_cast<double>(width) * s.rows;
  const auto each = [&](int image, int g, const auto& body) {
    for (int r = 0; r < s.rows; ++r)
      for (int c = g * width; c < (g + 1) * width; ++c) body(s.at(image, r, c), c);
  };
  for (int image = 0; image < s.images; ++image)
    for (int g = 0; g < s.groups; ++g) {
      double mean = 0, variance = 0, first = 0, second = 0;
      each(image, g, [&](int i, int) { mean += x[i] / count; });
      each(image, g, [&](int i, int) { variance += (x[i] - mean) * (x[i] - mean) / count; });
      const double rstd = 1 / std::sqrt(variance + 1e-5);
      std::vector<double> dgamma(s.channels), dbeta(s.channels), dz(s.count());
      each(image, g, [&](int i, int c) {
        const double normal = (x[i] - mean) * rstd, z = normal * gamma[c] + beta[c], sigmoid = 1 / (1 + std::exp(-z));
        out.y[i] = static_cast<float>(s.silu ? z * sigmoid : z);
        dz[i] = s.silu ? dy[i] * sigmoid * (1 + z * (1 - sigmoid)) : dy[i];
        dgamma[c] += dz[i] * normal;
        dbeta[c] += dz[i];
        first += gamma[c] * dz[i] / count;
        second += gamma[c] * dz[i] * normal / count;
      });
      each(image, g, [&](int i, int c) {
        out.dx[i] = static_cast<float>(rstd * (gamma[c] * dz[i] - first - (x[i] - mean) * rstd * second));
      });
      for (int c = g * width; c < (g + 1) * width; ++c) {
        out.dgamma[image * s.channels + c] = static_cast<float>(dgamma[c]);
        out.dbeta[image * s.channels + c] = static_cast<float>(dbeta[c]);
      }
    }
  return out;
}

float largest(const Floats& values) {
  float most = 0;
  for (const float value : values) most = std::fmax(most, std::fabs(value));
  return most;
}

// Unlike check::apart, NaN is apart from all.
double relative(const Floats& actual, const Floats& expected) {
  double most = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double apart = std::fabs(static_cast<double>(actual[i]) - expected[i]);
    if (!(apart <= most)) most = apart == apart ? apart : INFINITY;
  }
  return most / largest(expected);
}

template <typename V>
void compare(const Size& s) {
  using T = typename V::T;
  Floats x = check::noise(s.count(), 1), gamma = check::noise(s.channels, 3), beta = check::noise(s.channels, 4);
  for (float& value : x) value = value * s.spread + s.mean;
  const Floats dy = widened(narrowed<T>(check::noise(s.count(), 2)));
  x = widened(narrowed<T>(x));
  const Result actual = of_kernels<V>(s, x, dy, gamma, beta), expected = by_definition(s, x, dy, gamma, beta);
  // Of a large mean, float32 itself keeps fewer digits of what is apart from it.
  const double sums = 1e-5 * std::fmax(1.0, std::fabs(s.mean) / s.spread / 16), stored = sizeof(T) == 2 ? 0x1p-8 : sums;
  const std::string name = std::string(V::kName) + " of " + std::to_string(s.rows) + " x " + std::to_string(s.channels);
  check::expect("y", name.c_str(), relative(actual.y, expected.y), stored);
  check::expect("dx", name.c_str(), relative(actual.dx, expected.dx), stored);
  check::expect("the gradient of weights", name.c_str(), relative(actual.dgamma, expected.dgamma), sums);
  check::expect("the gradient of biases", name.c_str(), relative(actual.dbeta, expected.dbeta), sums);
}

}  // namespace

int main() {
  const Size sizes[] = {
      {2, 1000, 16, 4, true, 0, 1},  {1, 4001, 16, 16, true, 3, 1}, {3, 77, 24, 3, false, 0.5, 1}, {2, 2311, 48, 8, true, 0, 2},
      {2, 529, 128, 32, true, 0, 1}, {1, 1, 128, 1, true, 0, 1},    {2, 9, 2200, 11, true, 0, 1},   {2, 700, 48, 6, true, 100, 0.5},
  };
  for (const Size& size : sizes) {
    compare<float4>(size);
    compare<float1>(size);
    if (size.mean < 100) {
      compare<bf16x8>(size);
      compare<bf16x1>(size);
    }
  }
  for (const bool silu : {false, true}) {
    compare<float1>({2, 301, 17, 17, silu, 0, 1});
    compare<bf16x1>({2, 301, 21, 7, silu, 0, 1});
  }
  const float numbers[] = {1.00390625f, 1.01171875f, NAN, INFINITY, -0.0f};  // two ties: down and up to even
  const unsigned expected[] = {0x3f80, 0x3f82, 0x7fc0, 0x7f80, 0x8000};
  for (int i = 0; i < 5; ++i) check::expect("narrowed", "bfloat16", device::narrowed(numbers[i]) != expected[i], 0);
  return check::failures;
}
