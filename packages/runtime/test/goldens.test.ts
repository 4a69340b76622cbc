import { ops, scope, tensor } from "@iqvae/torch";
import { cachedSampler } from "iqvae";
import * as node from "onnxruntime-node";
import * as web from "onnxruntime-web/wasm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine, EngineFactory } from "../src/engines/engine.ts";
import { onnxEngine } from "../src/engines/onnx.ts";
import { ownEngine } from "../src/engines/own.ts";
import { Mt19937 } from "../src/sampling/mt19937.ts";
import { type Answer, type Question, sampleTokens } from "../src/sampling/sample.ts";
import { GOLDEN_CONDITIONS, GOLDEN_SEED, GOLDEN_SETS, goldenExample, goldenFile, goldenText } from "./golden.ts";
import type { Example } from "./support.ts";

test("the generator is the standard's: C++ says what mt19937's 10,000th number is", () => {
  const random = new Mt19937(5489);
  for (let i = 1; i < 10_000; i++) random.next();
  expect(random.next()).toBe(4_123_659_995);
});

web.env.wasm.numThreads = 1;
const ENGINES: readonly (readonly [string, EngineFactory])[] = [
  ["own", ownEngine],
  ["ONNX Runtime, native", onnxEngine(node, { intraOpNumThreads: 1 })],
  ["ONNX Runtime, WebAssembly", onnxEngine(web)],
];

describe("tokens stay what they are, as a seed promises", () => {
  let example: Example;
  const sets = Object.entries(GOLDEN_SETS);
  const draw = async (predict: (question: Question) => Answer | Promise<Answer>, options: object) => {
    const counts = { ...example.transformer.tokens, absent: example.transformer.absent };
    const drawing = sampleTokens(counts, GOLDEN_CONDITIONS, { seed: GOLDEN_SEED, ...options });
    let step = drawing.next();
    while (!step.done) step = drawing.next(await predict(step.value));
    return goldenText(step.value);
  };

  beforeAll(async () => {
    example = await goldenExample();
  });

  test.each(sets)("libtorch: %s", async (name, options) => {
    const rows = scope(() => {
      const given = ops.aten.stack(GOLDEN_CONDITIONS.map((row) => tensor(row).to("int64")));
      const tokens = cachedSampler(example.transformer).sample(given, { seed: GOLDEN_SEED, ...options });
      const all = tokens.flatten(0, 1);
      return Array.from({ length: all.shape[0]! }, (_, i) => Array.from(all.select(0, i).read("int64"), Number));
    });
    await expect(goldenText(rows)).toMatchFileSnapshot(goldenFile(name));
  });

  describe.each(ENGINES)("%s", (_, create) => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await create(example.model, example.weights, example.read);
    });
    afterAll(async () => {
      await engine.release();
    });

    test.each(sets)("%s", async (name, options) => {
      const tokens = await draw((question) => engine.predict(question), options);
      await expect(tokens).toMatchFileSnapshot(goldenFile(name));
    });
  });

  test.each(sets)(
    "none is a tie: logits ten times as far off as engines' are draw the same, %s",
    async (name, options) => {
      const engine = await ownEngine(example.model, example.weights);
      const predict = async (question: Question) => {
        const logits = Float32Array.from(await engine.predict(question));
        const largest = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        return logits.map((value, i) => value + largest * 1e-4 * Math.cos(i * 7.3 + question.t));
      };
      await expect(await draw(predict, options)).toMatchFileSnapshot(goldenFile(name));
    },
  );
});
