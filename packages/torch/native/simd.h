// What the fused CPU kernels share. Loops are plain and vectorized by the compiler, once for each instruction set; the
// processor picks when the library is loaded. Not by GCC's target_clones: GCC 11 knows no clone with FMA for all makers of
// processors, and clang's clones do not reach into inlined functions.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#define KERNELS_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define KERNELS_AVX2 __attribute__((target("avx2,fma")))
#else
#define KERNELS_AVX512
#define KERNELS_AVX2
#endif
#define KERNELS_INLINE inline __attribute__((always_inline))
// Before a loop over pointers that do not overlap, where they are too many to be declared so or to be compared.
#ifdef __clang__
#define KERNELS_APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define KERNELS_APART _Pragma("GCC ivdep")
#endif

namespace kernels {

enum class InstructionSet { Base, Avx2, Avx512 };

// What the processor has, or less where ATEN_CPU_CAPABILITY asks for it, as libtorch's own kernels read it.
inline InstructionSet detect_instruction_set() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const char* wanted = std::getenv("ATEN_CPU_CAPABILITY");
  const auto at_most = [&](const char* name) { return wanted != nullptr && std::strcmp(wanted, name) == 0; };
  if (at_most("default") || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return InstructionSet::Base;
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
  return wide && !at_most("avx2") ? InstructionSet::Avx512 : InstructionSet::Avx2;
#else
  return InstructionSet::Base;
#endif
}

inline InstructionSet instruction_set() {
  static const InstructionSet found = detect_instruction_set();
  return found;
}

inline const char* name_of(InstructionSet set) {
  return set == InstructionSet::Avx512 ? "AVX-512" : set == InstructionSet::Avx2 ? "AVX2" : "base";
}

// Who compiled this, e.g. "GCC 12.2.0".
inline const char* compiler() {
#if defined(__clang__)
  return __VERSION__;  // begins with its name
#else
  return "GCC " __VERSION__;
#endif
}

// One function compiled for each instruction set. It must be KERNELS_INLINE, and so must be all that it calls in its loops:
// what is inlined is compiled for its caller.
template <auto kBody>
struct Versions;
template <typename Result, typename... Args, Result (*kBody)(Args...)>
struct Versions<kBody> {
  KERNELS_AVX512 static Result avx512(Args... args) { return kBody(args...); }
  KERNELS_AVX2 static Result avx2(Args... args) { return kBody(args...); }
  static Result base(Args... args) { return kBody(args...); }
};

template <auto kAvx512, auto kAvx2, auto kBase>
auto pick() {
  switch (instruction_set()) {
    case InstructionSet::Avx512: return Versions<kAvx512>::avx512;
    case InstructionSet::Avx2: return Versions<kAvx2>::avx2;
    default: return Versions<kBase>::base;
  }
}

// The version of a body for this processor: best<body>(arguments…). Or of three bodies, for what depends on the width.
template <auto kBody>
inline const auto best = pick<kBody, kBody, kBody>();
template <auto kAvx512, auto kAvx2, auto kBase>
inline const auto best_of = pick<kAvx512, kAvx2, kBase>();

// bfloat16 as its bits; ATen's class keeps the compiler from vectorizing.
struct Bf16 {
  uint16_t bits;
};

KERNELS_INLINE float load(const float* p) { return *p; }
KERNELS_INLINE float load(const Bf16* p) {
  const uint32_t wide = static_cast<uint32_t>(p->bits) << 16;
  float out;
  std::memcpy(&out, &wide, 4);
  return out;
}
KERNELS_INLINE void store(float* p, float value) { *p = value; }
KERNELS_INLINE void store(Bf16* p, float value) {  // to nearest, ties to even; NaN keeps its high bits
  uint32_t wide;
  std::memcpy(&wide, &value, 4);
  const uint32_t rounded = wide + 0x7fffu + ((wide >> 16) & 1u);
  p->bits = static_cast<uint16_t>((value != value ? (wide | 0x400000u) : rounded) >> 16);
}

// e^x within 2 units in the last place for |x| < 87, saturating beyond: x = n·ln 2 + r, a polynomial for e^r. NaN has no whole
// part, and reaches the result by r.
KERNELS_INLINE float fast_exp(float x) {
  x = x < -87.0f ? -87.0f : (x > 87.0f ? 87.0f : x);
  const float scaled = (x == x ? x : 0.0f) * 1.44269504088896341f;
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
