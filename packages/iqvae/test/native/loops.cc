#include "check.h"
#include "loops_decode.h"

using namespace kernels;
using Floats = std::vector<float>;

int main() {
  const int64_t rows = 11, inputs = 50, outputs = 29;
  const Floats x = check::noise(rows * inputs, 1), panel = check::noise(inputs * kPanel, 2), bias = check::noise(outputs, 3);
  const std::vector<Bf16> half = check::narrowed(panel);
  const auto multiplied = [&](const auto* weights) {
    return [&, weights](auto f) {
      Floats out(rows * outputs);
      f(x.data(), weights, bias.data(), rows, inputs, outputs, outputs, out.data());
      return out;
    };
  };
  check::agree<multiply_all<16, 8, float>, multiply_all<8, 4, float>, multiply_all<4, 4, float>>("multiply_all", 1e-4, multiplied(panel.data()));
  check::agree<multiply_all<16, 8, Bf16>, multiply_all<8, 4, Bf16>, multiply_all<4, 4, Bf16>>("multiply_all", 1e-4, multiplied(half.data()));

  check::agree<gelu_in_place>("gelu_in_place", 1e-6, [&](auto f) {
    Floats out = x;
    f(out.data(), static_cast<int64_t>(out.size()));
    return out;
  });
  check::agree<add_norm_row>("add_norm_row", 1e-5, [&](auto f) {
    Floats sum = x, out(inputs);
    f(sum.data(), panel.data(), panel.data() + inputs, bias.data(), out.data(), 29, 1e-5f);
    return out;
  });
  const Sizes s{1, 13, 20, 10, 6};
  const Floats qkv = check::noise(3 * 13, 4), keys = check::noise(13 * kKeys, 5), values = check::noise(13 * 20, 6);
  check::agree<attend_one<16, float>, attend_one<8, float>, attend_one<4, float>>("attend_one", 1e-5, [&](auto f) {
    Floats own_keys = check::noise(13 * kKeys, 7), own_values = check::noise(13 * 10, 8), out(13), scores(20 + kKeys), q(13);
    f(qkv.data(), keys.data(), values.data(), own_keys.data(), own_values.data(), out.data(), s, scores.data(), q.data());
    return out;
  });

  std::printf("%s, %s\n", compiler(), name_of(instruction_set()));
  return check::failures;
}
