// Tokens a second of sampling, 8 sequences at once, 256 condition tokens and 256 image tokens; every sequence has a
// condition of its own, or with --shared all have one. Prints one JSON line a repeat; the peer is peers/sample.py.
import { parseArgs } from "node:util";
import { manualSeed, ops, setNumThreads, tuneProcess } from "@iqvae/torch";
import { Transformer } from "../packages/iqvae/dist/models/transformer.js";
import { cachedSampler, uncachedSampler } from "../packages/iqvae/dist/sampling/sampler.js";

const { values } = parseArgs({
  options: {
    mode: { type: "string", default: "cached" },
    precision: { type: "string", default: "float32" },
    repeats: { type: "string", default: "3" },
    threads: { type: "string", default: "2" },
    batch: { type: "string", default: "8" },
    shared: { type: "boolean", default: false },
    layers: { type: "string", default: "8" },
    width: { type: "string", default: "384" },
    heads: { type: "string", default: "6" },
    codes: { type: "string", default: "1024" },
    tokens: { type: "string", default: "256" },
  },
});
const number = (name) => Number(values[name]);
tuneProcess();
setNumThreads(number("threads"));
manualSeed(0);

const [codes, tokens, batch] = [number("codes"), number("tokens"), number("batch")];
const model = new Transformer(
  { layers: number("layers"), width: number("width"), heads: number("heads"), dropout: 0 },
  { conditionCodes: codes, imageCodes: codes, conditionTokens: tokens, imageTokens: tokens },
);
const conditions = ops.aten.randint(codes, [values.shared ? 1 : batch, tokens], { dtype: "int64" });
const sampler =
  values.mode === "uncached" ? uncachedSampler(model) : cachedSampler(model, { precision: values.precision });

const draw = () => sampler.sample(conditions, { samples: values.shared ? batch : 1, batch, topK: 100 }).dispose();
if (values.mode !== "uncached") draw();
for (let repeat = 0; repeat < number("repeats"); repeat++) {
  const start = performance.now();
  draw();
  const seconds = (performance.now() - start) / 1000;
  console.log(JSON.stringify({ seconds, "tokens/s": (batch * tokens) / seconds }));
}
console.log(JSON.stringify({ parameters: model.parameterCount() }));
