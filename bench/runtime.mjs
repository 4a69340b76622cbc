// Drawing with the WebAssembly engine of @iqvae/runtime beside libtorch, in turn in one process. Weights are of chance. One JSON line a
// case: medians in milliseconds, of the processor (user and system, all threads) and of the clock, and the ratio of processor times,
// above 1 where the engine is faster.
//
//     node bench/runtime.mjs [--preset start] [--repeats 9] [--threads 1] [--weights f32|int8]
import { parseArgs } from "node:util";
import { ownEngine, sampleTokens, weightShapes } from "@iqvae/runtime";
import { inferenceMode, manualSeed, ops, scope, setNumThreads, tuneProcess } from "@iqvae/torch";
import {
  cachedSampler,
  conditionFor,
  conditionSpec,
  IqVae,
  loadConfig,
  Transformer,
} from "../packages/iqvae/dist/index.js";
import { median } from "./measure.mjs";

const { values } = parseArgs({
  options: {
    preset: { type: "string", default: "start" },
    repeats: { type: "string", default: "9" },
    threads: { type: "string", default: "1" },
    weights: { type: "string", default: "f32" },
  },
});
tuneProcess();
setNumThreads(Number(values.threads));
manualSeed(0);

const { data, stage1, stage2 } = await loadConfig(values.preset);
const condition = conditionSpec(data);
const iqvae = new IqVae(stage1.model, conditionFor(condition, data.size));
const { layers, width, heads } = stage2.model;
const transformer = new Transformer({ layers, width, heads, dropout: 0 }, iqvae.tokenShape(data.size));
const model = {
  size: data.size,
  condition,
  grids: { condition: iqvae.conditionGrid, image: iqvae.image.gridFor([data.size, data.size]) },
  autoencoders: stage1.model,
  transformer: { layers, width, heads, unconditional: false },
};
const engine = await ownEngine(model, weightsOf(iqvae, transformer));
const counts = { ...transformer.tokens, absent: undefined };
const sampler = cachedSampler(transformer);
const conditions = ops.aten.randint(counts.conditionCodes, [1, counts.conditionTokens], { dtype: "int64" });
const rows = [Int32Array.from(conditions.read("int64"), Number)];

for (const samples of [1, 8]) {
  const own = (seed) => {
    const drawing = sampleTokens(counts, rows, { samples, seed });
    let step = drawing.next();
    while (!step.done) step = drawing.next(engine.predict(step.value));
    return step.value.flatMap((tokens) => [...tokens]);
  };
  const libtorch = (seed) =>
    scope(() => Array.from(sampler.sample(conditions, { samples, seed }).read("int64"), Number));
  compare("tokens", { samples }, own, libtorch);
}
const image = ops.aten.randint(counts.imageCodes, [1, ...model.grids.image], { dtype: "int64" });
const tokens = Int32Array.from(image.read("int64"), Number);
compare(
  "decode",
  { samples: 1 },
  () => [...engine.decode(tokens)],
  () => scope(() => inferenceMode(() => [...iqvae.decodeImage(image).read("uint8")])),
);

/** Runs both in turn. What they give is compared, too: the share that is equal. */
function compare(what, fields, own, libtorch) {
  const [ours, theirs] = [[], []];
  const [a, b] = [own(0), libtorch(0)];
  const equal = a.filter((value, i) => value === b[i]).length / a.length;
  for (let repeat = 1; repeat <= Number(values.repeats); repeat++) {
    ours.push(timed(() => own(repeat)));
    theirs.push(timed(() => libtorch(repeat)));
  }
  const figures = (times) => ({
    cpu: median(times.map(({ cpu }) => cpu)),
    wall: median(times.map(({ wall }) => wall)),
  });
  const [mine, other] = [figures(ours), figures(theirs)];
  const line = { what, ...fields, engine: engine.name, weights: values.weights, own: mine, libtorch: other };
  console.log(
    JSON.stringify({ ...line, ratio: other.cpu / mine.cpu, equal }, (_, x) =>
      typeof x === "number" ? Number(x.toFixed(3)) : x,
    ),
  );
}

function timed(run) {
  const [cpu, wall] = [process.cpuUsage(), performance.now()];
  run();
  const { user, system } = process.cpuUsage(cpu);
  return { cpu: (user + system) / 1000, wall: performance.now() - wall };
}

function weightsOf(...modules) {
  const [first, second] = modules.map((module) => module.stateDict());
  const state = new Map([...first, ...[...second].map(([name, value]) => [`transformer.${name}`, value])]);
  return new Map(
    [...weightShapes(model)].map(([name, shape]) => {
      const data = state.get(name).detach().contiguous().read("float32");
      return [
        name,
        values.weights === "int8" && shape.length > 1 ? quantized(data, shape) : { shape, type: "f32", data },
      ];
    }),
  );
}

/** A scale a row, as `iqvae export --weights int8` does. */
function quantized(data, shape) {
  const row = data.length / shape[0];
  const scales = Float32Array.from({ length: shape[0] }, (_, o) =>
    Math.max(
      1e-30,
      data.subarray(o * row, (o + 1) * row).reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127,
    ),
  );
  return {
    shape,
    type: "int8",
    scales,
    data: Int8Array.from(data, (value, i) => Math.round(value / scales[Math.floor(i / row)])),
  };
}
