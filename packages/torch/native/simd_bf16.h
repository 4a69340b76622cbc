// The instructions for vectors of bfloat16, which multiply pairs and sum in float32.
#pragma once

#include "simd.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#define KERNELS_BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")))
#endif

namespace kernels {

#if defined(__x86_64__)

// A bit of what the processor says of itself on page 7 of cpuid; registers are eax, ebx, ecx, edx.
inline bool has_feature(unsigned leaf, unsigned reg, unsigned bit) {
  unsigned r[4] = {};
  return __get_cpuid_count(7, leaf, &r[0], &r[1], &r[2], &r[3]) != 0 && (r[reg] >> bit & 1) != 0;
}

// Whether this processor multiplies vectors of bfloat16.
inline bool has_bf16_vectors() {
  static const bool found = instruction_set() == InstructionSet::Avx512 && has_feature(1, 0, 5);
  return found;
}

// Whether it multiplies tiles of them, which vectors cannot keep up with.
inline bool has_bf16_tiles() {
  static const bool found = has_feature(0, 3, 22);
  return found;
}

// Sixteen numbers of 16 bits, and each in the lower half of 32. Not by intrinsics, which GCC 12 warns of in its own headers.
typedef uint16_t Halves __attribute__((vector_size(32)));
typedef uint32_t Words __attribute__((vector_size(64)));
KERNELS_BF16 inline Words low_halves(Halves halves) { return __builtin_convertvector(halves, Words); }
KERNELS_BF16 inline Halves rounded(__m512 x) { return (Halves)_mm512_cvtneps_pbh(x); }

KERNELS_BF16 inline __m512 widen(const Bf16* p) {
  Halves halves;
  std::memcpy(&halves, p, sizeof(halves));
  return (__m512)(low_halves(halves) << 16);
}
KERNELS_BF16 inline void round_to(Bf16* p, __m512 x) {
  const Halves halves = rounded(x);
  std::memcpy(p, &halves, sizeof(halves));
}

#else

inline bool has_bf16_vectors() { return false; }

#endif

}  // namespace kernels
