// Runs a loop in each version that this processor has, with a compiler of its own: a check without libtorch.
#pragma once

#include "simd.h"

#include <cmath>
#include <cstdio>
#include <vector>

namespace check {

inline std::vector<float> noise(size_t count, uint32_t seed) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(static_cast<int32_t>(seed = seed * 1664525u + 1013904223u)) * 0x1p-31f;
  return values;
}

inline std::vector<kernels::Bf16> narrowed(const std::vector<float>& values) {
  std::vector<kernels::Bf16> out(values.size());
  for (size_t i = 0; i < values.size(); ++i) kernels::store(&out[i], values[i]);
  return out;
}

inline int failures = 0;

inline double apart(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double error = std::fabs(static_cast<double>(a[i]) - b[i]);
    // Not by fmax, which passes over what is no number.
    if (!(error <= most)) most = std::isnan(error) ? HUGE_VAL : error;
  }
  return most;
}

inline void expect(const char* loop, const char* version, double error, double most) {
  if (error <= most) return;
  ++failures;
  std::printf("%s, %s: off by %g, more than %g\n", loop, version, error, most);
}

// `run(function)` returns what the loop wrote, which must be that of the plain version, but for rounding.
template <auto kAvx512, auto kAvx2, auto kBase, typename Run>
void agree(const char* loop, double most, const Run& run) {
  const std::vector<float> plain = run(kernels::Versions<kBase>::base);
  expect(loop, "the version that was picked", apart(run(kernels::best_of<kAvx512, kAvx2, kBase>), plain), most);
#if defined(__x86_64__)
  if (kernels::instruction_set() >= kernels::InstructionSet::Avx2)
    expect(loop, "AVX2", apart(run(kernels::Versions<kAvx2>::avx2), plain), most);
  if (kernels::instruction_set() == kernels::InstructionSet::Avx512)
    expect(loop, "AVX-512", apart(run(kernels::Versions<kAvx512>::avx512), plain), most);
#endif
}
template <auto kBody, typename Run>
void agree(const char* loop, double most, const Run& run) {
  agree<kBody, kBody, kBody>(loop, most, run);
}

}  // namespace check
