// Computes products and convolutions under autocast and prints what came of it as JSON: how far all results and gradients are
// from float64's, by name, and the warnings that were given.
import { autocast, grad, manualSeed, ops, scope, supportsBfloat16 } from "@iqvae/torch";

const { aten } = ops;
const warnings = [];
process.on("warning", ({ code }) => warnings.push(code));
manualSeed(1);

/** The relative errors of the result of `compute` and of the gradients of its inputs. */
function errors(compute, inputs) {
  return scope(() => {
    const run = (dtype, body) => {
      const given = inputs.map((each) => each.to(dtype).requires_grad_(true));
      const y = body(() => compute(...given));
      return [y, ...grad([y], given, { gradients: [y.detach().mul(0).add(0.05).add(noise(y.shape)).to(y.dtype)] })];
    };
    const made = run("float32", (body) => autocast({ dtype: "bfloat16" }, body));
    const exact = run("float64", (body) => body());
    const norm = (x) => x.to("float64").norm().item();
    return made.map((each, i) => norm(each.to("float64").sub(exact[i])) / norm(exact[i]));
  });
}

const noise = (shape) =>
  aten
    .arange(shape.reduce((a, b) => a * b))
    .sin()
    .reshape(shape);
const image = (shape, last) =>
  aten.randn(shape).contiguous({ memory_format: last ? "channels_last" : "contiguous_format" });
const convolution = (x, w, b) => aten.conv2d(x, w, b, [1, 1], [1, 1]);

const found = { product: errors((a, b) => a.mm(b), [aten.randn([32, 8192]).add(0.1), aten.randn([8192, 32])]) };
for (const last of [false, true])
  found[last ? "channels_last" : "contiguous"] = errors(convolution, [
    image([4, 32, 32, 32], last),
    image([32, 32, 3, 3], last).div(17),
    aten.randn([32]),
  ]);
const ones = (shape) => aten.ones(shape, { dtype: "float32" });
const sum = autocast({ dtype: "bfloat16" }, () => ones([16, 4096]).mm(ones([4096, 16])));
// Warnings come with the next turn.
setImmediate(() =>
  console.log(
    JSON.stringify({
      supported: supportsBfloat16(),
      dtype: sum.dtype,
      sum: sum.select(0, 0).select(0, 0).item(),
      found,
      warnings,
    }),
  ),
);
