import { expect, test } from "vitest";
import type { Engine } from "../src/engines/engine.ts";
import { ownEngine } from "../src/engines/own.ts";
import type { Answer, Question } from "../src/sampling/sample.ts";
import { toFloat32, type Weights } from "../src/weights.ts";
import { engineContract } from "./engines.ts";
import { exampleOf } from "./support.ts";

for (const preset of ["tiny", "start", "hands", "scenes", "words", "speech"])
  engineContract("own engine", ownEngine, preset);
engineContract("own engine", ownEngine, "tiny", ["stage1.model.coupled=true"]);

const unpacked = (weights: Weights): Weights =>
  new Map([...weights].map(([name, weight]) => [name, { shape: weight.shape, type: "f32", data: toFloat32(weight) }]));

test("weights of 8 bits are multiplied as they are, with what they stand for as the result", async () => {
  const { model, weights } = await exampleOf("start", { type: "int8" });
  const [bytes, floats] = await Promise.all([ownEngine(model, weights), ownEngine(model, unpacked(weights))]);
  const tokens = Int32Array.from({ length: 64 }, (_, t) => (t * 37) % 512);
  const sequences = { conditions: [tokens], of: Int32Array.of(0, 0, 0) };
  const logitsOf = (engine: Engine, t: number) => {
    const last = t === 0 ? new Int32Array() : sequences.of.map((_, s) => (t * 101 + s) % 1024);
    return Float32Array.from(engine.predict({ sequences, t, last } as unknown as Question) as Answer);
  };
  for (let t = 0; t < 8; t++) {
    const [a, b] = [logitsOf(bytes, t), logitsOf(floats, t)];
    const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const apart = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
    expect(apart / largest).toBeLessThan(5e-4);
    expect(apart).toBeGreaterThan(0);
  }
  const [a, b] = [await bytes.decode(tokens, tokens), await floats.decode(tokens, tokens)];
  const off = a.reduce((most, byte, i) => Math.max(most, Math.abs(byte - b[i]!)), 0);
  expect(off).toBeLessThanOrEqual(1);
});
