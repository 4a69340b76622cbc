// Training steps of the transformer, condition and image tokens counted. Prints one JSON line a repeat; the peer is
// peers/stage2_step.py.
import { parseArgs } from "node:util";
import { manualSeed, scope, setNumThreads, tuneProcess } from "@iqvae/torch";
import { fastPrecision } from "../packages/iqvae/dist/support/precision.js";
import { stage2Trainer } from "./trainers.mjs";

tuneProcess();
const { values } = parseArgs({
  options: {
    precision: { type: "string", default: fastPrecision() },
    exposure: { type: "string", default: "teacher" },
    repeats: { type: "string", default: "5" },
    threads: { type: "string", default: "2" },
    batch: { type: "string", default: "32" },
    layers: { type: "string", default: "8" },
    width: { type: "string", default: "384" },
    heads: { type: "string", default: "6" },
    codes: { type: "string", default: "1024" },
    tokens: { type: "string", default: "64" },
    inner: { type: "string", default: "4" },
  },
});
const { precision, exposure, ...numbers } = values;
const { repeats, threads, inner, ...sizes } = Object.fromEntries(
  Object.entries(numbers).map(([name, text]) => [name, Number(text)]),
);
setNumThreads(threads);
manualSeed(0);
const trainer = stage2Trainer({ precision, exposure, ...sizes });

const rows = Uint32Array.from({ length: sizes.batch }, (_, i) => i);
const step = () => scope(() => trainer.step(rows));
for (let i = 0; i < 4; i++) step();
for (let repeat = 0; repeat < repeats; repeat++) {
  const start = performance.now();
  for (let i = 0; i < inner; i++) step();
  const seconds = (performance.now() - start) / 1000 / inner;
  console.log(JSON.stringify({ seconds, "tokens/s": (2 * sizes.batch * sizes.tokens) / seconds }));
}
console.log(JSON.stringify({ parameters: trainer.model.parameterCount() }));
