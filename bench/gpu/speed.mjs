// Steps a second of both stages at growing batches with the share of the measured peak of bfloat16 products, and sampling.
import { cudaGraphsAreAvailable, noGrad, ops, scope } from "@iqvae/torch";
import { parseConfig, presets } from "../../packages/iqvae/dist/config/index.js";
import { Transformer } from "../../packages/iqvae/dist/models/transformer.js";
import { stage1Cost, stage2Cost } from "../../packages/iqvae/dist/plan/cost.js";
import { stage1Trial, stage2Trial } from "../../packages/iqvae/dist/plan/made-up.js";
import { MOST_RECORDED } from "../../packages/iqvae/dist/sampling/recording.js";
import { cachedSampler } from "../../packages/iqvae/dist/sampling/sampler.js";
import { device, figure, finish, on, secondsOf } from "./report.mjs";

const side = device === "cpu" ? 512 : 8192;
let peak = Number.NaN;
figure(`bfloat16 product of ${side} x ${side}`, () =>
  on(device, () => {
    const [a, b] = [1, 2].map(() => ops.aten.randn([side, side], { dtype: "bfloat16" }));
    peak = (2 * side ** 3) / secondsOf(() => ops.aten.mm(a, b).dispose());
    return { "TFLOP/s": peak / 1e12 };
  }),
);
figure("operators a second, an addition of one number", () =>
  on(device, () => {
    const x = ops.aten.ones([1]);
    return { microseconds: 1e6 * secondsOf(() => scope(() => void x.add(1)), { count: 2000 }) };
  }),
);

/** The fused kernels and libtorch's, by the bytes that the former move: x twice and y; x and dy twice, and dx. */
const normal = device === "cpu" ? [1, 32, 64, 64] : [16, 128, 256, 256];
const norms = {
  group_norm_silu: (x, w, b) => ops.fused.group_norm_silu(x, w, b, 32, 1e-5, true),
  "group_norm and silu, composed": (x, w, b) =>
    ops.aten.silu(ops.aten.group_norm(x.to({ dtype: "float32" }), 32, w, b, 1e-5)).to({ dtype: "bfloat16" }),
};
for (const [name, body] of Object.entries(norms))
  figure(`${name} of [${normal}] bfloat16 channels_last`, () =>
    on(device, () =>
      scope(() => {
        const [x, dy] = [1, 2].map(() =>
          ops.aten.randn(normal, { dtype: "bfloat16" }).contiguous({ memory_format: "channels_last" }),
        );
        const [w, b] = [1, 2].map(() => ops.aten.randn([normal[1]]));
        const forward = secondsOf(() => scope(() => noGrad(() => void body(x, w, b))));
        const leaves = [x, w, b];
        for (const leaf of leaves) leaf.requiresGrad = true;
        const both = secondsOf(() =>
          scope(() => {
            body(x, w, b).backward(dy);
            for (const leaf of leaves) leaf.grad = undefined; // none is added to
          }),
        );
        const bytes = 2 * x.numel();
        return {
          "ms forward": 1e3 * forward,
          "GB/s forward": (3 * bytes) / forward / 1e9,
          "ms forward and backward": 1e3 * both,
          "GB/s forward and backward": (8 * bytes) / both / 1e9,
        };
      }),
    ),
  );

const both = (sizes) => ({ stage1: sizes, stage2: sizes });
const batches =
  device === "cpu"
    ? { start: both([4]) }
    : {
        start: both([32, 256]),
        faces: both([16, 64, 256]),
        "paper-ade20k": { stage1: [4, 16, 32], stage2: [4, 16, 64, 128] },
      };
for (const [name, stages] of Object.entries(batches))
  for (const [stage, sizes] of Object.entries(stages))
    for (const batch of sizes)
      figure(`${name}, ${stage}, batch ${batch}`, () => {
        const given = presets[name];
        const teacher = { exposure: { kind: "teacher" } };
        const config = parseConfig({
          ...given,
          precision: "bfloat16",
          stage1: { ...given.stage1, batch, perceptual: null, adversarial: null },
          stage2: { ...given.stage2, ...teacher, batch, accumulate: 1 },
        });
        const { operations } = stage === "stage1" ? stage1Cost(config) : stage2Cost(config);
        return on(device, () => {
          const { trainer, dispose } = stage === "stage1" ? stage1Trial(config) : stage2Trial(config);
          try {
            const rows = new Uint32Array(batch);
            const seconds = secondsOf(() => scope(() => trainer.step(rows)), { count: 10, warmup: 5 });
            return {
              "steps/s": 1 / seconds,
              "images/s": batch / seconds,
              "TFLOP/s": operations / seconds / 1e12,
              "share of peak": operations / seconds / peak,
            };
          } finally {
            dispose();
          }
        });
      });

/** From a CUDA graph, which is for few sequences, and by calls; what the usual recorder would be is `undefined`. */
const ways = {
  ...(cudaGraphsAreAvailable() && { "a CUDA graph": { recorder: undefined, counts: [1, 16, MOST_RECORDED] } }),
  "calls for each token": { recorder: null, counts: device === "cpu" ? [2] : [1, 16, MOST_RECORDED, 512] },
};
for (const [way, { recorder, counts }] of Object.entries(ways))
  for (const count of counts)
    figure(`sampling, 64 tokens, 6 layers of 192, ${count} images, ${way}`, () =>
      on(device, () =>
        scope(() => {
          const shape = { conditionCodes: 512, imageCodes: 1024, conditionTokens: 64, imageTokens: 64 };
          const model = new Transformer({ layers: 6, width: 192, heads: 6, dropout: 0 }, shape);
          const conditions = ops.aten.zeros([count, 64], { dtype: "int64" });
          const sampler = cachedSampler(model, { recorder });
          const seconds = secondsOf(() => scope(() => void sampler.sample(conditions, { seed: 1 })), {
            count: 2,
            warmup: 1,
          });
          return { "images/s": count / seconds, "tokens/s": (64 * count) / seconds };
        }),
      ),
    );

finish();
