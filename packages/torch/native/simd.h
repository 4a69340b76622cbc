// What the fused CPU kernels share. Loops are plain and vectorized by the compiler, once for each instruction set; the
// processor picks at load time.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define IQVAE_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define IQVAE_CLONES
#endif
#define IQVAE_INLINE inline __attribute__((always_inline))

namespace kernels {

// bfloat16 as its bits; ATen's class keeps the compiler from vectorizing.
struct Bf16 {
  uint16_t bits;
};

IQVAE_INLINE float load(const float* p) { return *p; }
IQVAE_INLINE float load(const Bf16* p) {
  const uint32_t wide = static_cast<uint32_t>(p->bits) << 16;
  float out;
  std::memcpy(&out, &wide, 4);
  return out;
}
IQVAE_INLINE void store(float* p, float value) { *p = value; }
IQVAE_INLINE void store(Bf16* p, float value) {  // to nearest, ties to even; NaN keeps its high bits
  uint32_t wide;
  std::memcpy(&wide, &value, 4);
  const uint32_t rounded = wide + 0x7fffu + ((wide >> 16) & 1u);
  p->bits = static_cast<uint16_t>((value != value ? (wide | 0x400000u) : rounded) >> 16);
}

// e^x within 2 units in the last place for |x| < 87, saturating beyond: x = n·ln 2 + r, a polynomial for e^r.
IQVAE_INLINE float fast_exp(float x) {
  x = x < -87.0f ? -87.0f : (x > 87.0f ? 87.0f : x);
  const float scaled = x * 1.44269504088896341f;
  const int32_t n = static_cast<int32_t>(scaled + (scaled < 0 ? -0.5f : 0.5f));
  const float f = static_cast<float>(n);
  const float r = (x - f * 0.693359375f) + f * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const uint32_t power = static_cast<uint32_t>(n + 127) << 23;
  float two_n;
  std::memcpy(&two_n, &power, 4);
  return p * two_n;
}

}  // namespace kernels
