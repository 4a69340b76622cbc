import { expect, test, vi } from "vitest";
import { plainCondition } from "../src/conditions/index.ts";
import type { Engine } from "../src/engines/engine.ts";
import { ownEngine } from "../src/engines/own.ts";
import type { Answer, Question } from "../src/sampling/sample.ts";
import { toFloat32, type Weights } from "../src/weights.ts";
import { engineContract } from "./engines.ts";
import { exampleOf, someCondition } from "./support.ts";

for (const preset of ["tiny", "start", "hands", "scenes", "words", "speech"])
  engineContract("own engine", ownEngine, preset);
// No side of it is a multiple of what the kernels take at once.
const odd = ["image.codes=37", "image.codeDim=5", "condition.codes=19", "condition.codeDim=3", "coupled=true"];
engineContract("own engine", ownEngine, "tiny", [
  ...odd.map((setting) => `stage1.model.${setting}`),
  "stage2.model.width=30",
  "stage2.model.heads=5",
]);

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

/** The types of Node.js have no WebAssembly. */
interface Growing {
  grow(pages: number): number;
}
const memory = (globalThis as unknown as { WebAssembly: { Memory: { prototype: Growing } } }).WebAssembly.Memory
  .prototype;

/** What is asked of an engine for images of one condition, up to their third token. */
function drawWith(engine: Engine, planes: Float32Array, images: number): (Int32Array | Uint8Array | Float32Array)[] {
  const condition = engine.encode(planes) as Int32Array;
  const sequences = { conditions: [condition], of: new Int32Array(images) };
  const logits = [0, 1, 2].map((t) => {
    const last = t === 0 ? new Int32Array() : new Int32Array(images).fill(t);
    return Float32Array.from(engine.predict({ sequences, t, last } as unknown as Question) as Answer);
  });
  return [condition, ...logits, engine.decode(new Int32Array(condition.length).fill(3), condition) as Uint8Array];
}

test("a batch that is too large is refused, whatever of it there is no room for, and the next is drawn as ever", async () => {
  const example = await exampleOf("start");
  const { condition, size } = example.model;
  const planes = plainCondition(condition, size).planesOf(someCondition(example, 1));
  const engine = async () => (await ownEngine(example.model, example.weights)) as Engine;
  const expected = drawWith(await engine(), planes, 2);
  const { grow } = memory;
  const grown = vi.spyOn(memory, "grow");
  try {
    drawWith(await engine(), planes, 100);
    const times = grown.mock.calls.length;
    expect(times).toBeGreaterThan(5);
    for (let most = 0; most < times; most++) {
      const small = await engine();
      let count = 0;
      grown.mockImplementation(function (this: Growing, pages: number) {
        count += 1;
        if (count > most) throw new RangeError("no more memory");
        return grow.call(this, pages);
      });
      expect(() => drawWith(small, planes, 100)).toThrow(/MiB, .* \(no more memory\); choose a smaller batch/);
      expect(drawWith(small, planes, 2)).toEqual(expected);
    }
  } finally {
    grown.mockRestore();
  }
});

const firstOf = (images: number, tokens: number): Question => {
  const sequences = { conditions: [new Int32Array(tokens)], of: new Int32Array(images) };
  return { sequences, t: 0, last: new Int32Array() } as unknown as Question;
};

test("a batch beyond what can be addressed is refused with its number of sequences, and others are drawn", async () => {
  const example = await exampleOf("tiny");
  const { condition, size } = example.model;
  const planes = plainCondition(condition, size).planesOf(someCondition(example, 1));
  const engine = (await ownEngine(example.model, example.weights)) as Engine;
  const expected = drawWith(engine, planes, 2);
  expect(() => engine.predict(firstOf(3_000_000, 16))).toThrow(RangeError);
  expect(() => engine.predict(firstOf(3_000_000, 16))).toThrow("the batch is too large, with 3000000 sequences: ");
  expect(drawWith(engine, planes, 2)).toEqual(expected);
});

test("a batch that is given up leaves its room to the next", async () => {
  const example = await exampleOf("tiny");
  const { condition, size } = example.model;
  const planes = plainCondition(condition, size).planesOf(someCondition(example, 1));
  const engine = (await ownEngine(example.model, example.weights)) as Engine;
  const expected = drawWith((await ownEngine(example.model, example.weights)) as Engine, planes, 2);
  await engine.predict(firstOf(1000, 16));
  const grown = vi.spyOn(memory, "grow").mockImplementation(() => {
    throw new RangeError("no more memory");
  });
  try {
    expect(drawWith(engine, planes, 2)).toEqual(expected);
  } finally {
    grown.mockRestore();
  }
});
