// One rank of a training of both stages on made-up data. The first argument names a file for what rank 0 has at the end, the second how many
// rows a step has. Prints a line of JSON: hashes of all tensors, and losses.
import { createHash } from "node:crypto";
import { initProcessGroup, manualSeed, ops, scope, unscoped, writeSafetensors } from "@iqvae/torch";
import { stage1Schema } from "../../dist/stage1/config.js";
import { Stage1Trainer } from "../../dist/stage1/trainer.js";
import { TokenPairs } from "../../dist/stage2/token-pairs.js";
import { Stage2Trainer } from "../../dist/stage2/trainer.js";
import { Peers } from "../../dist/support/peers.js";

const [out, rows, steps] = [process.argv[2], Number(process.argv[3]), 10];
const peers = new Peers(initProcessGroup({ timeout: 60 }));

/** Whole numbers below `below`, the same everywhere. */
function numbersFrom(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const SIZE = 16;
/** Pictures of two colors, one in each half; the map says which half is which. */
function halves(count, seed) {
  const random = numbersFrom(seed);
  const all = Array.from({ length: count }, () => {
    const colors = [0, 1].map(() => [random(256), random(256), random(256)]);
    const edge = 4 + random(8);
    const half = (i) => (i % SIZE < edge ? 0 : 1);
    return {
      image: Uint8Array.from({ length: SIZE * SIZE * 3 }, (_, i) => colors[half(Math.floor(i / 3))][i % 3] ^ random(8)),
      map: Uint8Array.from({ length: SIZE * SIZE }, (_, i) => half(i)),
    };
  });
  const joined = (parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
  const batch = (indices) => {
    const chosen = Array.from(indices, (i) => all[i]);
    return { images: joined(chosen.map((pair) => pair.image)), conditions: joined(chosen.map((pair) => pair.map)) };
  };
  return { length: count, ids: all.map((_, i) => String(i)), batch };
}

const classes = ["left", "right"].map((name, i) => ({ name, color: [255 * i, 0, 0] }));
const dataset = {
  ...{ name: "halves", key: "halves", size: SIZE, condition: { kind: "semantic", classes } },
  ...{ train: halves(128, 1), validation: halves(70, 2), licenses: [], close() {} },
};

manualSeed(5);
const half = { channels: 16, multipliers: [1, 2], blocks: 1, patch: 2, codes: 16, codeDim: 4 };
const stage1 = new Stage1Trainer({
  config: stage1Schema.parse({
    model: { image: half, condition: { ...half, codes: 8 } },
    ...{ steps, batch: rows, rate: 1e-3, warmup: 2, regularizer: { estimator: "none" } },
    adversarial: { weight: 0.5, startShare: 0, channels: 8, rate: 1e-3 },
  }),
  precision: "float32",
  dataset,
  peers,
});
const shape = { conditionCodes: 8, imageCodes: 16, conditionTokens: 4, imageTokens: 4 };
function tokens(count, seed) {
  const random = numbersFrom(seed);
  const each = (codes) => Uint16Array.from({ length: count * 4 }, () => random(codes));
  return new TokenPairs(shape, each(8), each(16));
}
const stage2 = new Stage2Trainer({
  config: {
    ...{ model: { layers: 2, width: 32, heads: 4, dropout: 0 }, exposure: { kind: "teacher" }, conditionDropout: 0 },
    ...{ steps, batch: rows / 2, accumulate: 2, rate: 1e-3, warmup: 2, weightDecay: 0.05, emaDecay: 0.98 },
  },
  precision: "float32",
  train: tokens(128, 3),
  validation: tokens(33, 4),
  peers,
});

const kept = new Map();
const losses = {};
for (const [name, trainer] of Object.entries({ stage1, stage2 })) {
  losses[name] = [];
  for (let step = 0; step < steps; step++) {
    peers.beginStep(1, name, step);
    // Long after k-means some codes die.
    if (name === "stage1" && step === 5)
      for (const { quantizer } of [stage1.model.image, stage1.model.condition])
        quantizer.counts.slice(0, 0, 4).fill_(0);
    const indices = Uint32Array.from({ length: rows }, (_, i) => (step * rows + 7 * i) % 128);
    losses[name].push(scope(() => trainer.step(indices)).loss);
    if (step > 0) continue;
    for (const [path, { grad }] of trainer.model.namedParameters())
      if (grad !== undefined)
        kept.set(
          `${name}.gradient.${path}`,
          unscoped(() => ops.aten.clone(grad)),
        );
  }
  for (const [path, tensor] of trainer.tensors()) kept.set(`${name}.${path}`, tensor);
  losses[`${name} held out`] = scope(() => trainer.evaluate());
}
if (peers.isFirst) writeSafetensors(out, kept);
const hash = (names) => {
  const sum = createHash("sha256");
  for (const [name, tensor] of kept)
    if (names.test(name)) sum.update(name).update(Buffer.from(tensor.contiguous().toTypedArray().buffer));
  return sum.digest("hex");
};
const same = [...kept].filter(([name]) => !name.includes("gradient"));
peers.beginStep(1, "stage1", steps);
const draw = (options = {}) => peers.gather(ops.aten.rand([1], options).item());
const report = {
  ...{ weights: hash(/./), codebooks: hash(/codebook|counts|sums/), losses },
  drawn: { own: draw(), shared: draw({ generator: peers.shared }) },
  agree: peers.agreeOn(same.map(([, tensor]) => tensor)),
  disagree: peers.agreeOn([ops.aten.ones([3]).mul(peers.rank)]),
};
// One rank computes what is no number: all hear of it at the same step.
if (peers.rank === peers.size - 1) stage2.model.positions.detach().fill_(Number.NaN);
const nan = Number.isNaN(scope(() => stage2.step(Uint32Array.from({ length: rows }, (_, i) => i))).loss);
console.log(JSON.stringify({ ...report, nan }));
