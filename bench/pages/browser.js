// In the page: draws the same tokens with the engines in turn, and times each. Modules as they are built, without a bundler.
import {
  MODEL_FILE,
  onnxEngine,
  ownEngine,
  parseBundle,
  readWeights,
  sampleTokens,
  WEIGHTS_FILE,
} from "/runtime/index.js";

const ort = await import("/onnxruntime/ort.wasm.bundle.min.mjs");
ort.env.wasm.numThreads = 1;

async function open(folder, create) {
  const read = async (name) => new Uint8Array(await (await fetch(`${folder}/${name}`)).arrayBuffer());
  const model = parseBundle(new TextDecoder().decode(await read(MODEL_FILE)));
  const engine = await create(model, readWeights(await read(WEIGHTS_FILE), model), read);
  const { grids, autoencoders } = model;
  const count = ([height, width]) => height * width;
  const counts = {
    conditionCodes: autoencoders.condition.codes,
    imageCodes: autoencoders.image.codes,
    conditionTokens: count(grids.condition),
    imageTokens: count(grids.image),
    absent: undefined,
  };
  const condition = Int32Array.from({ length: counts.conditionTokens }, (_, i) => (i * 37) % counts.conditionCodes);
  return { engine, counts, condition };
}

/** The other form: the graph for any number of tokens, whose caches come out longer by what was read. */
function merged(model, read) {
  const { layers, heads, width } = model.transformer;
  const names = Array.from({ length: layers }, (_, i) => [`${i}.key`, `${i}.value`]).flat();
  const whole = (values, dims) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), dims);
  let session;
  let past;
  return {
    async load() {
      const externalData = [{ path: WEIGHTS_FILE, data: await read(WEIGHTS_FILE) }];
      session = await ort.InferenceSession.create(await read("transformer.onnx"), { externalData });
      return this;
    },
    async predict({ sequences: { conditions, of }, t, last }) {
      const B = of.length;
      if (t === 0) {
        const none = new ort.Tensor("float32", new Float32Array(0), [B, heads, 0, width / heads]);
        past = Object.fromEntries(names.map((name) => [`past.${name}`, none]));
      }
      const tokens = Array.from(of).flatMap((n) => [...conditions[n]]);
      const out = await session.run({
        condition: t === 0 ? whole(tokens, [B, tokens.length / B]) : whole([], [B, 0]),
        image: t === 0 ? whole([], [B, 0]) : whole(last, [B, 1]),
        ...past,
      });
      past = Object.fromEntries(names.map((name) => [`past.${name}`, out[`present.${name}`]]));
      return out.logits.data;
    },
    release: () => session.release(),
  };
}

const ENGINES = {
  own: ownEngine,
  step: onnxEngine(ort),
  merged: async (model, _weights, read) => await merged(model, read).load(),
};

async function draw({ engine, counts, condition }, samples, seed) {
  const drawing = sampleTokens(counts, [condition], { samples, seed });
  let step = drawing.next();
  while (!step.done) step = drawing.next(await engine.predict(step.value));
  return step.value;
}

const contenders = [];

/** @returns what it is called, and what it draws, to be compared */
globalThis.add = async (engine, folder, samples) => {
  const contender = await open(folder, ENGINES[engine]);
  contenders.push(contender);
  return { name: contender.engine.name, tokens: String(await draw(contender, samples, 0)) };
};

/** @returns milliseconds by the clock, of one of several draws: to ask and to be answered takes the process's time, too */
globalThis.timed = async (number, samples, seed, draws) => {
  const start = performance.now();
  for (let i = 0; i < draws; i++) await draw(contenders[number], samples, seed + 1000 * i);
  return (performance.now() - start) / draws;
};

globalThis.releaseAll = async () => {
  for (const { engine } of contenders.splice(0)) await engine.release();
};
