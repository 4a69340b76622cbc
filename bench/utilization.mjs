// The share of the processor's matrix products that a training step reaches: operations of its products and convolutions (of the
// direct algorithm, forward and backward) a second, against the fastest large product in the same process and precision.
// Prints one JSON line a repeat, steps and products in turn.
import { parseArgs } from "node:util";
import { manualSeed, ops, scope, setNumThreads, tuneProcess } from "@iqvae/torch";
import { countOperations } from "../packages/iqvae/dist/plan/operations.js";
import { fastPrecision } from "../packages/iqvae/dist/support/precision.js";
import { randomRows, stage1Trainer, stage2Trainer } from "./trainers.mjs";

tuneProcess();
const { values } = parseArgs({
  options: {
    stage: { type: "string", default: "1" },
    precision: { type: "string", default: fastPrecision() },
    threads: { type: "string", default: "2" },
    repeats: { type: "string", default: "5" },
    batch: { type: "string", default: "32" },
    /** Of the square matrices. */
    side: { type: "string", default: "2048" },
  },
});
const { stage, precision } = values;
const [batch, repeats, side] = [values.batch, values.repeats, values.side].map(Number);
setNumThreads(Number(values.threads));
manualSeed(0);

const trainer =
  stage === "1"
    ? stage1Trainer({ precision })
    : stage2Trainer({
        precision,
        exposure: "teacher",
        batch,
        layers: 8,
        width: 384,
        heads: 6,
        codes: 1024,
        tokens: 64,
      });
const rows = stage === "1" ? randomRows(batch) : Uint32Array.from({ length: batch }, (_, i) => i);
const step = () => scope(() => trainer.step(rows));
const [a, b] = [0, 1].map(() => ops.aten.randn([side, side], { dtype: precision }));
const product = () => ops.aten.mm(a, b).dispose();

const seconds = (run) => {
  const start = performance.now();
  run();
  return (performance.now() - start) / 1000;
};
for (let i = 0; i < 3; i++) step();
product();
const { forward, backward } = countOperations(step);
for (let repeat = 0; repeat < repeats; repeat++) {
  const reached = (forward + backward) / seconds(step);
  const peak = (2 * side ** 3) / Math.min(...Array.from({ length: 5 }, () => seconds(product)));
  console.log(JSON.stringify({ share: reached / peak, "GFLOP/s": reached / 1e9, "peak GFLOP/s": peak / 1e9 }));
}
