// Images a second of a stage-1 step (batch in as bytes, forward, backward, clipping, AdamW), and the process's peak memory.
// Prints one JSON line a measured step and a last one with the peak; the peer is peers/stage1_step.py.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { manualSeed, scope, setThreads } from "@iqvae/torch";
import { semantic } from "../packages/iqvae/dist/conditions/semantic.js";
import { FACE_CLASSES } from "../packages/iqvae/dist/data/index.js";
import { createRegularizer } from "../packages/iqvae/dist/regularizer/index.js";
import { Stage1Trainer } from "../packages/iqvae/dist/stage1/trainer.js";

const { values } = parseArgs({
  options: {
    precision: { type: "string", default: "bfloat16" },
    threads: { type: "string", default: "2" },
    batch: { type: "string", default: "32" },
    steps: { type: "string", default: "8" },
    warmup: { type: "string", default: "4" },
  },
});
const [batch, steps, warmup] = [values.batch, values.steps, values.warmup].map(Number);
const SIZE = 64;
const CLASSES = FACE_CLASSES.length;
const PAIRS = 512;
setThreads(Number(values.threads));
manualSeed(0);

/** Filled in place: `Uint8Array.from` would build a list of all values first, which the peak memory would show. */
function bytes(count, below) {
  const all = new Uint8Array(count);
  for (let i = 0; i < count; i++) all[i] = Math.floor(Math.random() * below);
  return all;
}
const pixels = bytes(PAIRS * SIZE * SIZE * 3, 256);
const classes = bytes(PAIRS * SIZE * SIZE, CLASSES);

/** Rows of `all` copied next to each other, as a data set hands them over. */
function rows(all, width, indices) {
  const out = new Uint8Array(indices.length * width);
  for (const [i, index] of indices.entries()) out.set(all.subarray(index * width, (index + 1) * width), i * width);
  return out;
}

const split = {
  batch: (indices) => ({
    images: rows(pixels, SIZE * SIZE * 3, indices),
    conditions: rows(classes, SIZE * SIZE, indices),
  }),
};
const model = { multipliers: [1, 2, 2], blocks: 1, patch: 2, codeDim: 16 };
const trainer = new Stage1Trainer(
  {
    model: { image: { ...model, channels: 64, codes: 1024 }, condition: { ...model, channels: 32, codes: 512 } },
    steps: 16, // k-means places the codes at an eighth of them, during the warm-up
    rate: 5e-4,
    warmup: 2,
    precision: values.precision,
    regularizer: { weight: 0.2, measure: createRegularizer({ estimator: "sliced" }) },
  },
  { size: SIZE, condition: { kind: "semantic", classes: FACE_CLASSES }, train: split, validation: split },
  semantic(FACE_CLASSES, SIZE),
);

function step() {
  const indices = Uint32Array.from({ length: batch }, () => Math.floor(Math.random() * PAIRS));
  const start = performance.now();
  scope(() => trainer.step(indices));
  return (performance.now() - start) / 1000;
}

for (let i = 0; i < warmup; i++) step();
for (let i = 0; i < steps; i++) {
  const seconds = step();
  console.log(JSON.stringify({ seconds, "images/s": batch / seconds }));
}
const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024;
console.log(JSON.stringify({ parameters: trainer.model.parameterCount(), peakMiB: peak }));
