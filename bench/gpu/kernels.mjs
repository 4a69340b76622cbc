// Every fused operator on the device, forward and backward, against the processor's kernel.
import {
  autocast,
  cudaGraphsAreAvailable,
  Generator,
  getRngState,
  manualSeed,
  noGrad,
  ops,
  scope,
  setRngState,
  tensor,
} from "@iqvae/torch";
import { CausalAttention } from "../../packages/iqvae/dist/models/attention.js";
import { slicedAlong } from "../../packages/iqvae/dist/regularizer/sliced.js";
import { check, device, expectNear, finish, on } from "./report.mjs";

const { aten, fused } = ops;
const wave = (shape, phase = 0) =>
  aten
    .arange(
      shape.reduce((a, b) => a * b, 1),
      { dtype: "float32" },
    )
    .mul(0.37)
    .add(phase)
    .sin()
    .reshape(shape);

/** `body` of leaves on the processor and on the device: outputs and gradients must agree. */
function agrees(name, leaves, body, { most = 1e-4, type = "float32" } = {}) {
  check(name, () =>
    scope(() => {
      const run = (where) => {
        const own = leaves.map((leaf) => {
          const made = leaf.to({ device: where, dtype: type });
          const kept = made.detach().clone();
          kept.requiresGrad = true;
          return kept;
        });
        const y = on(where, () => body(...own));
        y.to("float32")
          .mul(wave(y.shape, 0.5).to({ device: where }))
          .sum()
          .backward();
        return [y, ...own.map((leaf) => leaf.grad)];
      };
      const [expected, actual] = [run("cpu"), run(device)];
      if (actual[0].device !== device) throw new Error(`the result is on ${actual[0].device}`);
      return {
        apart: Math.max(
          ...actual.map((x, i) => expectNear(i === 0 ? "output" : `gradient ${i}`, x, expected[i], most)),
        ),
      };
    }),
  );
}

for (const [type, most] of [
  ["float32", 1e-4],
  ["bfloat16", 3e-2],
]) {
  const options = { type, most };
  agrees(
    `conv2d 3x3, ${type}`,
    [wave([4, 32, 16, 16]), wave([48, 32, 3, 3], 0.2), wave([48])],
    (x, w, b) => fused.conv2d(x, w, b, [1, 1], [1, 1]),
    options,
  );
  agrees(
    `conv2d stride 2, ${type}`,
    [wave([4, 8, 17, 16]), wave([12, 8, 4, 4], 0.2), wave([12])],
    (x, w, b) => fused.conv2d(x, w, b, [2, 2], [1, 1]),
    options,
  );
  agrees(
    `linear, ${type}`,
    [wave([4, 7, 32]), wave([48, 32], 0.2), wave([48])],
    (x, w, b) => aten.linear(x, w, b),
    options,
  );
  agrees(
    `dropout_add at p = 0, ${type}`,
    [wave([4, 7, 32]), wave([4, 7, 32], 1)],
    (x, r) => fused.dropout_add(x, r, 0),
    options,
  );
}
/** Group normalization of images in `type`, with weights in float32, whose output must be in `channels_last`. */
function normAgrees(shape, groups, type, silu, layout) {
  const [, channels] = shape;
  agrees(
    `group_norm_silu [${shape}] by ${groups}, ${type}, ${layout}${silu ? "" : ", without SiLU"}`,
    [wave(shape).add(wave([channels, 1, 1], 2)), wave([channels], 0.1), wave([channels], 0.7)],
    (x, w, b) => {
      const images = x.to({ dtype: type }).contiguous({ memory_format: layout });
      const y = fused.group_norm_silu(images, w, b, groups, 1e-5, silu);
      if (y.dtype !== type) throw new Error(`an output of ${y.dtype}`);
      // Without CUDA's headers there is none, and libtorch's operators have another layout.
      if (cudaGraphsAreAvailable() && y.strides[1] !== 1)
        throw new Error(`strides of [${y.strides}]: this is not the fused kernel`);
      return y;
    },
    { most: type === "bfloat16" ? 1e-2 : 1e-4 },
  );
}
for (const type of ["float32", "bfloat16"])
  for (const silu of [true, false])
    for (const layout of ["channels_last", "contiguous_format"]) {
      normAgrees([4, 32, 8, 8], 8, type, silu, layout);
      normAgrees([2, 32, 96, 95], 8, type, silu, layout); // several chunks, the last one shorter
      normAgrees([3, 24, 33, 31], 3, type, silu, layout); // no power of two
      normAgrees([2, 21, 9, 7], 7, type, silu, layout); // no vectors
    }
normAgrees([1, 512, 128, 128], 32, "bfloat16", true, "channels_last");
agrees(
  "sliced divergence",
  [wave([50, 16]), wave([50, 8], 2)],
  (x, c) => slicedAlong(x, c, wave([12, 16], 3).to({ device: x.device })),
  { most: 1e-3 },
);

check("attention", () =>
  scope(() => {
    const layer = new CausalAttention(64, 4);
    const other = on(device, () => new CausalAttention(64, 4));
    other.loadStateDict(layer.stateDict());
    const x = wave([3, 20, 64]);
    return { apart: noGrad(() => expectNear("output", other.forward(x.to({ device })), layer.forward(x), 1e-4)) };
  }),
);

check("adamw_, lerp_ and global_norm", () =>
  scope(() => {
    const run = (where) => {
      const list = (phase) => [wave([7, 5], phase), wave([33], phase)].map((x) => x.to({ device: where }));
      const [p, g, m, v, a] = [list(0.1), list(0.2), list(0.3), list(0.4).map((x) => x.square()), list(0.9)];
      const norm = fused.global_norm(g);
      fused.adamw_(p, g, m, v, norm, 0.1, 0.9, 0.999, 1e-8, 0.1, [1, 4]);
      fused.lerp_(a, p, 0.25);
      return [norm, ...p, ...m, ...v, ...a];
    };
    const [expected, actual] = [run("cpu"), run(device)];
    return { apart: Math.max(...actual.map((x, i) => expectNear(`tensor ${i}`, x, expected[i], 1e-5))) };
  }),
);

check("dropout_add keeps its share", () =>
  scope(() => {
    const ones = aten.ones([400_000], { device });
    const kept = fused.dropout_add(ones, aten.zeros_like(ones), 0.25);
    const share = kept.gt(0).to("float32").mean().item();
    if (Math.abs(share - 0.75) > 0.005) throw new Error(`${share} kept where 0.75 was expected`);
    return { share };
  }),
);

check("generators", () =>
  scope(() => {
    const draw = () => aten.randn([5], { device }).to({ device: "cpu" }).toTypedArray().join();
    manualSeed(7);
    const first = draw();
    const state = getRngState(device);
    const second = draw();
    setRngState(state, device);
    if (draw() !== second) throw new Error("another number after the state was put back");
    manualSeed(7);
    if (draw() !== first) throw new Error("another number after the same seed");
    if (first === second) throw new Error("the same numbers twice");
    const own = new Generator(3, device);
    const [a, b] = [1, 2].map(() => aten.randn([5], { device, generator: own }).sum().item());
    if (a === b) throw new Error("a generator of one's own gives the same numbers twice");
  }),
);

check("autocast", () =>
  scope(() => {
    const [x, w] = [wave([8, 32]), wave([16, 32], 2)].map((t) => t.to({ device }));
    const y = autocast({ device: device.split(":")[0] }, () => aten.linear(x, w));
    // A processor without instructions for it stays in float32.
    if (y.dtype !== "bfloat16" && device !== "cpu") throw new Error(`a product in ${y.dtype}`);
    return { apart: expectNear("product", y, aten.linear(x, w), 2e-2) };
  }),
);

check("reading, indexing and copies", () =>
  scope(() => {
    const x = tensor([1, 2, 3], { device });
    if (x.device !== device || x.to({ device: "cpu" }).toTypedArray().join() !== "1,2,3")
      throw new Error("not what went in");
    if (x.toTypedArray().join() !== "1,2,3" || x.sum().item() !== 6) throw new Error("cannot be read");
  }),
);

check("memory comes back", () => {
  for (let i = 0; i < (device === "cpu" ? 3 : 1000); i++) scope(() => void aten.zeros([64, 1024, 1024], { device })); // 256 MiB each
});

finish();
