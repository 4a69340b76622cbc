// Training steps of the transformer, condition and image tokens counted. Prints one JSON line a repeat; the peer is
// peers/stage2_step.py.
import { parseArgs } from "node:util";
import { manualSeed, scope, setThreads } from "@iqvae/torch";
import { Transformer } from "../packages/iqvae/dist/models/transformer.js";
import { GUMBEL_DEFAULTS } from "../packages/iqvae/dist/stage2/gumbel.js";
import { TokenPairs } from "../packages/iqvae/dist/stage2/token-pairs.js";
import { Stage2Trainer } from "../packages/iqvae/dist/stage2/trainer.js";

const { values } = parseArgs({
  options: {
    precision: { type: "string", default: "bfloat16" },
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
const number = (name) => Number(values[name]);
setThreads(number("threads"));
manualSeed(0);

const [codes, tokens, batch, inner] = ["codes", "tokens", "batch", "inner"].map(number);
const shape = { conditionCodes: codes, imageCodes: codes, conditionTokens: tokens, imageTokens: tokens };
const random = () => Uint16Array.from({ length: batch * tokens }, () => Math.floor(Math.random() * codes));
const pairs = new TokenPairs(shape, random(), random());
const trainer = new Stage2Trainer({
  model: new Transformer(
    { layers: number("layers"), width: number("width"), heads: number("heads"), dropout: 0 },
    shape,
  ),
  train: pairs,
  validation: pairs,
  config: {
    steps: 1000,
    microBatch: batch,
    learningRate: 3e-4,
    finalLearningRate: 3e-5,
    warmupSteps: 10,
    weightDecay: 0.05,
    clipNorm: 1,
    emaDecay: 0.999,
    precision: values.precision,
    exposure: values.exposure === "gumbel" ? GUMBEL_DEFAULTS : { kind: "teacher" },
  },
});

const rows = Uint32Array.from({ length: batch }, (_, i) => i);
const step = () => scope(() => trainer.step(rows));
for (let i = 0; i < 4; i++) step();
for (let repeat = 0; repeat < number("repeats"); repeat++) {
  const start = performance.now();
  for (let i = 0; i < inner; i++) step();
  const seconds = (performance.now() - start) / 1000 / inner;
  console.log(JSON.stringify({ seconds, "tokens/s": (2 * batch * tokens) / seconds }));
}
console.log(JSON.stringify({ parameters: trainer.model.parameterCount() }));
