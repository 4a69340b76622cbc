// Images a second of a stage-1 step (batch in as bytes, forward, backward, clipping, AdamW), and the process's peak memory.
// Prints one JSON line a measured step and a last one with the peak; the peer is peers/stage1_step.py.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { manualSeed, scope, setNumThreads, tuneProcess } from "@iqvae/torch";
import { fastPrecision } from "../packages/iqvae/dist/support/precision.js";
import { randomRows, stage1Trainer } from "./trainers.mjs";

tuneProcess();
const { values } = parseArgs({
  options: {
    precision: { type: "string", default: fastPrecision() },
    threads: { type: "string", default: "2" },
    batch: { type: "string", default: "32" },
    steps: { type: "string", default: "8" },
    warmup: { type: "string", default: "4" },
  },
});
const [batch, steps, warmup] = [values.batch, values.steps, values.warmup].map(Number);
setNumThreads(Number(values.threads));
manualSeed(0);
const trainer = stage1Trainer({ precision: values.precision });

function step() {
  const rows = randomRows(batch);
  const start = performance.now();
  scope(() => trainer.step(rows));
  return (performance.now() - start) / 1000;
}

for (let i = 0; i < warmup; i++) step();
for (let i = 0; i < steps; i++) {
  const seconds = step();
  console.log(JSON.stringify({ seconds, "images/s": batch / seconds }));
}
const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024;
console.log(JSON.stringify({ parameters: trainer.model.parameterCount(), peakMiB: peak }));
