#include "check.h"
#include "loops_conv.h"
#include "loops_dropout.h"
#include "loops_norm.h"
#include "loops_optim.h"

using namespace kernels;
using Floats = std::vector<float>;

int main() {
  const int64_t rows = 5, channels = 70, count = rows * channels;
  const Floats x = check::noise(count, 1), y = check::noise(count, 2), a = check::noise(channels, 3), b = check::noise(channels, 4);
  const std::vector<Bf16> half = check::narrowed(x);

  check::agree<lerp_range>("lerp_range", 1e-6, [&](auto f) {
    Floats out = x;
    f(out.data(), y.data(), count, 0.25f);
    return out;
  });
  check::agree<squares_of_block>("squares_of_block", 1e-4, [&](auto f) { return Floats{f(x.data(), count)}; });
  check::agree<adamw_range>("adamw_range", 1e-5, [&](auto f) {
    Floats p = x, m = y, v = check::noise(count, 5);
    for (float& value : v) value = value * value + 0.1f;
    f(p.data(), y.data(), m.data(), v.data(), count, AdamSettings{1, 0.9f, 0.1f, 0.99f, 0.01f, 1e-8f, 0.999f, 0.01f, 0.5f});
    return p;
  });
  check::agree<apply_mask<Bf16, float, true>>("apply_mask", 1e-6, [&](auto f) {
    Floats out(count);
    f(half.data(), y.data(), out.data(), 7, count, 11, 13, 1u << 30, 1.25f);
    return out;
  });
  check::agree<channel_sums<Bf16>>("channel_sums", 1e-5, [&](auto f) {
    Floats out(2 * channels);
    f(half.data(), rows, channels, a.data(), out.data(), out.data() + channels);
    return out;
  });
  check::agree<affine<float>>("affine", 1e-6, [&](auto f) {
    Floats out(count);
    f(x.data(), out.data(), rows, channels, a.data(), b.data(), true);
    return out;
  });
  check::agree<gradient_sums<true, float>>("gradient_sums", 1e-5, [&](auto f) {
    Floats out(count + 2 * channels);
    f(x.data(), y.data(), out.data(), rows, channels, a.data(), b.data(), b.data(), out.data() + count, out.data() + count + channels);
    return out;
  });
  check::agree<input_gradient<float>>("input_gradient", 1e-6, [&](auto f) {
    Floats out(count);
    f(x.data(), y.data(), out.data(), rows, channels, a.data(), b.data(), a.data());
    return out;
  });

  const float* tile[16];
  for (int i = 0; i < 16; ++i) tile[i] = x.data() + 20 * i;
  check::agree<transform_input>("transform_input", 1e-5, [&](auto f) {
    Floats out(16 * 19);
    f(tile, out.data(), 19, 19);
    return out;
  });
  check::agree<transform_output>("transform_output", 1e-5, [&](auto f) {
    Floats out(4 * 19);
    float* const outputs[4] = {out.data(), out.data() + 19, out.data() + 38, out.data() + 57};
    f(x.data(), 20, a.data(), outputs, 19);
    return out;
  });
  check::agree<transform_gradient>("transform_gradient", 1e-6, [&](auto f) {
    Floats out(16 * 19);
    f(tile, out.data(), 19, 19);
    return out;
  });
  check::agree<transform_weights>("transform_weights", 1e-6, [&](auto f) {
    Floats out(16 * 38);
    f(x.data(), out.data(), 38);
    return out;
  });
  check::agree<weights_gradient>("weights_gradient", 1e-6, [&](auto f) {
    Floats out(9 * 21);
    f(x.data(), out.data(), 21);
    return out;
  });

  std::printf("%s, %s\n", compiler(), name_of(instruction_set()));
  return check::failures;
}
