import { noGrad, ops, scope, tensor } from "@iqvae/torch";
import { cachedSampler, type SampleOptions } from "iqvae";
import { beforeAll, describe, expect, test } from "vitest";
import type { Engine } from "../src/engines/engine.ts";
import { ownEngine } from "../src/engines/own.ts";
import { Mt19937 } from "../src/sampling/mt19937.ts";
import { sampleTokens } from "../src/sampling/sample.ts";
import { type Example, exampleOf } from "./support.ts";

test("the generator is the standard's: C++ says what mt19937's 10,000th number is", () => {
  const random = new Mt19937(5489);
  for (let i = 1; i < 10_000; i++) random.next();
  expect(random.next()).toBe(4_123_659_995);
});

/** Weights that no generator of random numbers decides: the same with every libtorch. */
const formula = (i: number, seed: number) => Math.fround(Math.sin(i * 12.9898 + seed * 78.233) * 0.6);

const SETS: Readonly<Record<string, SampleOptions>> = {
  plain: {},
  filtered: { temperature: 0.9, topK: 12, topP: 0.95 },
  guided: { guidance: 3 },
  "guided and filtered": { guidance: 1.5, topP: 0.8, samples: 2 },
  "shared noise": { noise: { kind: "shared" }, samples: 2 },
  "between two seeds": { noise: { kind: "between", to: 8, share: 0.4 } },
};

describe("tokens stay what they are, as a seed promises", () => {
  let example: Example;
  let engine: Engine;
  const conditions = [0, 1].map((seed) => Int32Array.from({ length: 16 }, (_, i) => (i * (5 + seed)) % 32));

  beforeAll(async () => {
    example = await exampleOf("tiny", { unconditional: true });
    const weights = new Map(example.weights);
    let seed = 0;
    noGrad(() => {
      for (const [name, weight] of example.transformer.stateDict()) {
        seed += 1;
        const data = Float32Array.from({ length: weight.numel }, (_, i) => formula(i, seed));
        weight.copy_(tensor(data, { shape: weight.shape }));
        weights.set(`transformer.${name}`, { shape: weight.shape, type: "f32", data });
      }
    });
    engine = await ownEngine(example.model, weights);
  });

  test.each(Object.entries(SETS))("%s", async (name, options) => {
    const counts = { ...example.transformer.tokens, absent: example.transformer.absent };
    const drawing = sampleTokens(counts, conditions, { seed: 7, ...options });
    let step = drawing.next();
    while (!step.done) step = drawing.next(await engine.predict(step.value));
    const own = step.value.map((tokens) => [...tokens].join(" "));
    const libtorch = scope(() => {
      const given = ops.aten.stack(conditions.map((row) => tensor(row).to("int64")));
      const tokens = cachedSampler(example.transformer)
        .sample(given, { seed: 7, ...options })
        .flatten(0, 1);
      return Array.from({ length: tokens.shape[0]! }, (_, i) => [...tokens.select(0, i).read("int64")].join(" "));
    });
    const file = `goldens/${name.replaceAll(" ", "-")}.txt`;
    await expect(`${libtorch.join("\n")}\n`).toMatchFileSnapshot(file);
    await expect(`${own.join("\n")}\n`).toMatchFileSnapshot(file);
  });
});
