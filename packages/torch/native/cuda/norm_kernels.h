R"CUDA(
// Group normalization with an optional SiLU over images [B, pixels, C], compiled by NVRTC: nothing can be included. A thread owns V
// consecutive channels and walks over some pixels; no thread waits for another, and sums have one order, so results are the same
// each time. Blocks are [vectors of channels, pixels side by side], grids are [chunks of pixels, B, tiles of channels].
#define DEVICE static __device__ __forceinline__
struct Bf16 { unsigned short bits; };
template <int kCount> struct alignas(4 * kCount) Words { unsigned at[kCount]; };

// V elements as they lie in memory: 16 bytes, or a single one.
template <typename T, int V> struct Held { Words<4> words; };
template <typename T> struct Held<T, 1> { T one; };
template <typename T, int V> DEVICE Held<T, V> held(const T* p) { return *reinterpret_cast<const Held<T, V>*>(p); }

DEVICE void widen(const Held<float, 1>& from, float (&v)[1]) { v[0] = from.one; }
DEVICE void widen(const Held<Bf16, 1>& from, float (&v)[1]) { v[0] = __uint_as_float(static_cast<unsigned>(from.one.bits) << 16); }
DEVICE void widen(const Held<float, 4>& from, float (&v)[4]) { for (int i = 0; i < 4; ++i) v[i] = __uint_as_float(from.words.at[i]); }
DEVICE void widen(const Held<Bf16, 8>& from, float (&v)[8]) {
  for (int i = 0; i < 4; ++i) {
    v[2 * i] = __uint_as_float(from.words.at[i] << 16);
    v[2 * i + 1] = __uint_as_float(from.words.at[i] & 0xffff0000u);
  }
}
template <typename T, int V> DEVICE void load(const T* p, float (&v)[V]) { widen(held<T, V>(p), v); }

// To nearest, ties to even; NaN keeps its high bits.
DEVICE unsigned narrowed(float value) {
  const unsigned wide = __float_as_uint(value);
  return (value != value ? wide | 0x400000u : wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16;
}

DEVICE void store(float* p, const float (&v)[1]) { *p = v[0]; }
DEVICE void store(Bf16* p, const float (&v)[1]) { p->bits = static_cast<unsigned short>(narrowed(v[0])); }
DEVICE void store(float* p, const float (&v)[4]) {
  Words<4> words;
  for (int i = 0; i < 4; ++i) words.at[i] = __float_as_uint(v[i]);
  *reinterpret_cast<Words<4>*>(p) = words;
}
DEVICE void store(Bf16* p, const float (&v)[8]) {
  Words<4> words;
  for (int i = 0; i < 4; ++i) words.at[i] = narrowed(v[2 * i]) | narrowed(v[2 * i + 1]) << 16;
  *reinterpret_cast<Words<4>*>(p) = words;
}
DEVICE void store(float* p, const float (&v)[8]) {
  store(p, {v[0], v[1], v[2], v[3]});
  store(p + 4, {v[4], v[5], v[6], v[7]});
}

// 0 where e^-z is infinite.
DEVICE float sigmoid(float z) { return __fdividef(1.0f, 1.0f + __expf(-z)); }

// The pixels of a thread: `count` from `first` on, blockDim.y apart, so that a block reads one stretch of memory at a time.
struct Walk {
  long long first;
  int count;
};
DEVICE Walk walk(long long rows, int steps) {
  const long long first = static_cast<long long>(blockIdx.x) * blockDim.y * steps + threadIdx.y;
  const long long left = (rows - first + blockDim.y - 1) / blockDim.y;
  return {first, static_cast<int>(left < 0 ? 0 : left < steps ? left : steps)};
}

template <int V> DEVICE int first_channel() { return static_cast<int>(blockIdx.z * blockDim.x + threadIdx.x) * V; }
DEVICE long long image_at(long long rows, int channels) { return blockIdx.y * rows * channels; }

// The two sums of a thread, into [B, chunks, 2, C].
template <int V> DEVICE void keep(float* partial, int channels, int c, const float (&one)[V], const float (&other)[V]) {
  const long long lanes = blockDim.y, chunks = gridDim.x * lanes, chunk = blockIdx.x * lanes + threadIdx.y;
  float* own = partial + (blockIdx.y * chunks + chunk) * 2 * channels + c;
  store(own, one);
  store(own + channels, other);
}

// Σ d and Σ d², d = x − shift. The shift is the first pixel: without it, a mean much larger than the deviation would cancel all
// digits of the variance.
template <typename T, int V>
DEVICE void forward_sums(const T* __restrict__ x, float* __restrict__ partial, long long rows, int channels, int steps) {
  const int c = first_channel<V>();
  if (c >= channels) return;
  const T* image = x + image_at(rows, channels) + c;
  float shift[V], sum[V] = {}, square[V] = {};
  load<T, V>(image, shift);
  const Walk own = walk(rows, steps);
  const long long stride = static_cast<long long>(blockDim.y) * channels;
  const T* p = image + own.first * channels;
#pragma unroll 4
  for (int s = 0; s < own.count; ++s, p += stride) {
    float v[V];
    load<T, V>(p, v);
    for (int i = 0; i < V; ++i) {
      const float d = v[i] - shift[i];
      sum[i] += d;
      square[i] += d * d;
    }
  }
  keep<V>(partial, channels, c, sum, square);
}

// z = x·a + b with a = rstd·γ, b = β − mean·a.
template <int V> struct Affine { float a[V], b[V], mean[V]; };
template <int V>
DEVICE Affine<V> affine(const float* mean, const float* rstd, const float* gamma, const float* beta, int c, int channels, int groups) {
  Affine<V> map;
  for (int i = 0; i < V; ++i) {
    const long long g = static_cast<long long>(blockIdx.y) * groups + (c + i) / (channels / groups);
    map.mean[i] = mean[g];
    map.a[i] = rstd[g] * gamma[c + i];
    map.b[i] = beta[c + i] - map.mean[i] * map.a[i];
  }
  return map;
}

template <typename T, int V, bool kSilu>
DEVICE void forward_apply(const T* __restrict__ x, T* __restrict__ y, const float* mean, const float* rstd, const float* gamma,
                          const float* beta, long long rows, int channels, int groups, int steps) {
  const int c = first_channel<V>();
  if (c >= channels) return;
  const Affine<V> map = affine<V>(mean, rstd, gamma, beta, c, channels, groups);
  const Walk own = walk(rows, steps);
  const long long stride = static_cast<long long>(blockDim.y) * channels;
  if (own.count == 0) return;
  long long at = image_at(rows, channels) + own.first * channels + c;
  // The next pixel is on its way while this one is worked on: loads do not move before stores by themselves.
  Held<T, V> next = held<T, V>(x + at);
#pragma unroll 2
  for (int s = 0; s < own.count; ++s, at += stride) {
    float v[V];
    widen(next, v);
    if (s + 1 < own.count) next = held<T, V>(x + at + stride);
    for (int i = 0; i < V; ++i) {
      const float z = v[i] * map.a[i] + map.b[i];
      v[i] = kSilu ? z * sigmoid(z) : z;
    }
    store(y + at, v);
  }
}

// The gradient at z of that at f(z).
template <bool kSilu> DEVICE float before_silu(float dy, float z) {
  if (!kSilu) return dy;
  const float s = sigmoid(z);
  return dy * (s * (1.0f + z * (1.0f - s)));
}

// Σ dz and Σ dz·(x − mean).
template <typename T, int V, bool kSilu>
DEVICE void gradient_sums(const T* __restrict__ x, const T* __restrict__ dy, const float* mean, const float* rstd, const float* gamma,
                          const float* beta, float* __restrict__ partial, long long rows, int channels, int groups, int steps) {
  const int c = first_channel<V>();
  if (c >= channels) return;
  const Affine<V> map = affine<V>(mean, rstd, gamma, beta, c, channels, groups);
  float sum[V] = {}, product[V] = {};
  const Walk own = walk(rows, steps);
  const long long stride = static_cast<long long>(blockDim.y) * channels;
  long long at = image_at(rows, channels) + own.first * channels + c;
#pragma unroll 2
  for (int s = 0; s < own.count; ++s, at += stride) {
    float v[V], d[V];
    load<T, V>(x + at, v);
    load<T, V>(dy + at, d);
    for (int i = 0; i < V; ++i) {
      const float dz = before_silu<kSilu>(d[i], v[i] * map.a[i] + map.b[i]);
      sum[i] += dz;
      product[i] += dz * (v[i] - map.mean[i]);
    }
  }
  keep<V>(partial, channels, c, sum, product);
}

// dx = dz·a + x·slope + offset.
template <typename T, int V, bool kSilu>
DEVICE void gradient_apply(const T* __restrict__ x, const T* __restrict__ dy, T* __restrict__ dx, const float* mean, const float* rstd,
                           const float* gamma, const float* beta, const float* slope, const float* offset, long long rows, int channels,
                           int groups, int steps) {
  const int c = first_channel<V>();
  if (c >= channels) return;
  const Affine<V> map = affine<V>(mean, rstd, gamma, beta, c, channels, groups);
  float q[V], r[V];
  for (int i = 0; i < V; ++i) {
    const long long g = static_cast<long long>(blockIdx.y) * groups + (c + i) / (channels / groups);
    q[i] = slope[g];
    r[i] = offset[g];
  }
  const Walk own = walk(rows, steps);
  const long long stride = static_cast<long long>(blockDim.y) * channels;
  if (own.count == 0) return;
  long long at = image_at(rows, channels) + own.first * channels + c;
  Held<T, V> next_x = held<T, V>(x + at), next_dy = held<T, V>(dy + at);
#pragma unroll 1
  for (int s = 0; s < own.count; ++s, at += stride) {
    float v[V], d[V];
    widen(next_x, v);
    widen(next_dy, d);
    if (s + 1 < own.count) {
      next_x = held<T, V>(x + at + stride);
      next_dy = held<T, V>(dy + at + stride);
    }
    for (int i = 0; i < V; ++i) {
      const float dz = before_silu<kSilu>(d[i], v[i] * map.a[i] + map.b[i]);
      d[i] = dz * map.a[i] + (v[i] * q[i] + r[i]);
    }
    store(dx + at, d);
  }
}

// [B, count, width] → [B, gridDim.y, width], B being gridDim.z: each thread adds up one stretch of rows.
extern "C" __global__ void fold(const float* __restrict__ in, float* __restrict__ out, int count, int width) {
  const int k = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (k >= width) return;
  const int parts = static_cast<int>(gridDim.y), part = static_cast<int>(blockIdx.y), each = (count + parts - 1) / parts;
  const int end = (part + 1) * each < count ? (part + 1) * each : count;
  const float* p = in + static_cast<long long>(blockIdx.z) * count * width + k;
  double total = 0;
#pragma unroll 8
  for (int r = part * each; r < end; ++r) total += p[static_cast<long long>(r) * width];
  out[(static_cast<long long>(blockIdx.z) * parts + part) * width + k] = static_cast<float>(total);
}

// Mean and rstd of one image and group a thread, of the sums [B, 2, C].
template <typename T>
DEVICE void forward_finish(const T* x, const float* sums, float* mean, float* rstd, int images, long long rows, int channels, int groups,
                           double eps) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), image = i / groups, width = channels / groups;
  if (image >= images) return;
  const int first = i % groups * width;
  const float* sum = sums + static_cast<long long>(image) * 2 * channels + first;
  const T* shifts = x + static_cast<long long>(image) * rows * channels + first;
  const double pixels = static_cast<double>(rows);
  double average = 0, squares = 0;  // of the group: its mean, and Σ (x − mean)² within and between its channels
  float shift[1];
  for (int c = 0; c < width; ++c) {
    load<T, 1>(shifts + c, shift);
    average += shift[0] + sum[c] / pixels;
  }
  average /= width;
  for (int c = 0; c < width; ++c) {
    load<T, 1>(shifts + c, shift);
    const double total = sum[c], apart = shift[0] + total / pixels - average;
    squares += sum[channels + c] - total * total / pixels + pixels * apart * apart;
  }
  const double variance = squares / (pixels * width);
  mean[i] = static_cast<float>(average);
  rstd[i] = static_cast<float>(1.0 / sqrt((variance < 0 ? 0 : variance) + eps));
}

// Of the sums [B, 2, C]: the gradients at γ and β by image, and what dx needs, of one image and group a thread.
extern "C" __global__ void gradient_finish(const float* sums, const float* mean, const float* rstd, const float* gamma, float* dgamma,
                                           float* dbeta, float* slope, float* offset, int images, long long rows, int channels, int groups) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), image = i / groups, width = channels / groups;
  if (image >= images) return;
  const int first = i % groups * width;
  const float *sum = sums + static_cast<long long>(image) * 2 * channels, *product = sum + channels;
  const double inverse = rstd[i], count = static_cast<double>(rows) * width;
  double weighted = 0, correlated = 0;  // Σ γ·dz and Σ γ·dz·x̂ over the group
  for (int c = first; c < first + width; ++c) {
    const double centered = product[c] * inverse;
    dgamma[static_cast<long long>(image) * channels + c] = static_cast<float>(centered);
    dbeta[static_cast<long long>(image) * channels + c] = sum[c];
    weighted += static_cast<double>(gamma[c]) * sum[c];
    correlated += gamma[c] * centered;
  }
  slope[i] = static_cast<float>(-inverse * inverse * correlated / count);
  offset[i] = static_cast<float>(-inverse * weighted / count) - slope[i] * mean[i];
}

// Three blocks fit into a processor by their registers.
#define KERNEL(NAME) extern "C" __global__ void __launch_bounds__(256, 3) NAME
#define OF_TYPE(NAME, T, V)                                                                                                             \
  KERNEL(forward_sums_##NAME)(const T* __restrict__ x, float* __restrict__ partial, long long rows, int channels, int steps) {          \
    forward_sums<T, V>(x, partial, rows, channels, steps);                                                                              \
  }                                                                                                                                     \
  KERNEL(forward_finish_##NAME)(const T* x, const float* sums, float* mean, float* rstd, int images, long long rows, int channels,      \
                                int groups, double eps) {                                                                               \
    forward_finish<T>(x, sums, mean, rstd, images, rows, channels, groups, eps);                                                        \
  }                                                                                                                                     \
  KERNEL(forward_apply_##NAME)(const T* __restrict__ x, T* __restrict__ y, const float* __restrict__ mean,                              \
                               const float* __restrict__ rstd, const float* __restrict__ gamma, const float* __restrict__ beta,         \
                               long long rows, int channels, int groups, int steps, int silu) {                                         \
    if (silu) forward_apply<T, V, true>(x, y, mean, rstd, gamma, beta, rows, channels, groups, steps);                                  \
    else forward_apply<T, V, false>(x, y, mean, rstd, gamma, beta, rows, channels, groups, steps);                                      \
  }                                                                                                                                     \
  KERNEL(gradient_sums_##NAME)(const T* __restrict__ x, const T* __restrict__ dy, const float* __restrict__ mean,                       \
                               const float* __restrict__ rstd, const float* __restrict__ gamma, const float* __restrict__ beta,         \
                               float* __restrict__ partial, long long rows, int channels, int groups, int steps, int silu) {            \
    if (silu) gradient_sums<T, V, true>(x, dy, mean, rstd, gamma, beta, partial, rows, channels, groups, steps);                        \
    else gradient_sums<T, V, false>(x, dy, mean, rstd, gamma, beta, partial, rows, channels, groups, steps);                            \
  }                                                                                                                                     \
  KERNEL(gradient_apply_##NAME)(const T* __restrict__ x, const T* __restrict__ dy, T* __restrict__ dx, const float* __restrict__ mean,  \
                                const float* __restrict__ rstd, const float* __restrict__ gamma, const float* __restrict__ beta,        \
                                const float* __restrict__ slope, const float* __restrict__ offset, long long rows, int channels,        \
                                int groups, int steps, int silu) {                                                                      \
    if (silu) gradient_apply<T, V, true>(x, dy, dx, mean, rstd, gamma, beta, slope, offset, rows, channels, groups, steps);             \
    else gradient_apply<T, V, false>(x, dy, dx, mean, rstd, gamma, beta, slope, offset, rows, channels, groups, steps);                 \
  }

OF_TYPE(float4, float, 4)
OF_TYPE(float1, float, 1)
OF_TYPE(bf16x8, Bf16, 8)
OF_TYPE(bf16x1, Bf16, 1)
)CUDA"
