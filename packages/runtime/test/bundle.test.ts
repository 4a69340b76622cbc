import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { MODEL_FILE, parseBundle, WEIGHTS_FILE } from "../src/bundle.ts";
import { ModelError } from "../src/errors.ts";
import { halfToFloat, readWeights, toFloat32 } from "../src/weights.ts";
import { type Example, exampleOf } from "./support.ts";

let example: Example;
beforeAll(async () => {
  example = await exampleOf("tiny");
});
const document = (preset: Example = example) => JSON.parse(new TextDecoder().decode(preset.files[MODEL_FILE]!));

const SHAPE = { channels: 8, multipliers: [1], blocks: 1, patch: 4, codes: 8, codeDim: 4 };
const SHAPES = { condition: SHAPE, image: SHAPE };

const classes = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `${i}`, color: [0, 0, i % 256] }));
const layout = (count: number) => ({ kind: "layout", boxes: 2, classes: classes(count) });
const semantic = (count: number) => ({ kind: "semantic", classes: classes(count) });
const filled = (count: number, value = 0) => Buffer.alloc(count, value).toString("base64");

describe("model.json", () => {
  test.each(["tiny", "emoji", "hands", "scenes", "words", "speech"])(
    "of %s is read as it was written",
    async (preset) => {
      const other = await exampleOf(preset);
      expect(other.model).toEqual(document(other));
      expect(parseBundle(JSON.stringify({ ...document(other), author: "somebody" }))).toEqual(other.model);
    },
  );

  test.each([
    ["format", 2, "its format is 2, but this version"],
    ["name", 3, "name must be text, but is 3"],
    ["size", 0, "size must be a whole number from 1 to 4096, but is 0"],
    ["size", 64, "grids.image is 4 × 4, but its auto-encoder makes 8 × 8 of 64 × 64"],
    ["noise", 2, "noise must be 1, but is 2"],
    ["weights", "f64", 'weights must be "f32" or "f16" or "int8", but is "f64"'],
    ["condition", { kind: "smell" }, 'condition.kind must be "semantic"'],
    ["condition", { kind: "semantic", classes: [{ name: "a", color: [1, 2, 256] }] }, "condition.classes[0].color[2]"],
    ["condition", { kind: "keypoints", points: ["a"], bones: [[0, 1]] }, "condition.bones[0][1]"],
    ["condition", { kind: "text", length: 8, lowercase: 1 }, "condition.lowercase must be true or false, but is 1"],
    ["transformer", { layers: 2, width: 32, heads: 5, unconditional: false }, "transformer.width must be a multiple"],
    ["sampling", { temperature: 0, topK: null, topP: 1, guidance: 1 }, "sampling.temperature"],
    ["sampling", { temperature: 1, topK: null, topP: 1.5, guidance: 1 }, "sampling.topP must be at most 1"],
    ["examples", ["AAA=", "a b c d="], "examples[1] must be Base64"],
    ["files", {}, "files must name model.safetensors"],
    ["files", { [WEIGHTS_FILE]: { bytes: 1, sha256: "abc" } }, "sha256 must be 64 hexadecimal digits"],
    ["autoencoders", undefined, "autoencoders must be an object, but is missing"],
    [
      "autoencoders",
      { ...SHAPES, image: { ...SHAPE, channels: 12 } },
      "image.channels must be a multiple of 8, but is 12",
    ],
    ["autoencoders", { ...SHAPES, condition: { ...SHAPE, channels: 4 } }, "condition.channels must be a multiple of 8"],
    ["autoencoders", { ...SHAPES, coupled: 1 }, "autoencoders.coupled must be true or false, but is 1"],
  ])("with the %s %o is refused", (name, value, message) => {
    expect(() => parseBundle(JSON.stringify({ ...document(), [name]: value }))).toThrow(ModelError);
    expect(() => parseBundle(JSON.stringify({ ...document(), [name]: value }))).toThrow(message);
  });

  test.each([
    ["more boxes' classes than a byte has room for", { condition: layout(256) }, "1 to 255 classes, but are 256"],
    ["more classes than a byte", { condition: semantic(257) }, "must be 1 to 256 classes, but are 257"],
    ["an example that is short", { examples: ["AAAA"] }, "examples[0] must be 1024 bytes, but is 3"],
    [
      "an example that is long",
      { examples: [filled(1024), filled(1025)] },
      "examples[1] must be 1024 bytes, but is 1025",
    ],
    [
      "an example of no class",
      { examples: [filled(1024, 200)] },
      /examples\[0\] is not a condition of this model: pixel 0 holds 200, but .*\d; export the run again/,
    ],
  ])("with %s is refused", (_, change, message) => {
    expect(() => parseBundle(JSON.stringify({ ...document(), ...change }))).toThrow(ModelError);
    expect(() => parseBundle(JSON.stringify({ ...document(), ...change }))).toThrow(message);
  });

  test("with as many classes as bytes can number, and examples that are conditions, is read", () => {
    const model = { condition: layout(255), examples: [filled(10)] };
    expect(parseBundle(JSON.stringify({ ...document(), ...model })).examples).toEqual(model.examples);
    const condition = semantic(256);
    expect(parseBundle(JSON.stringify({ ...document(), condition })).condition).toEqual(condition);
  });

  test("with a coupled decoder on two grids is refused", () => {
    const autoencoders = { condition: { ...SHAPE, patch: 2 }, image: SHAPE, coupled: true };
    const grids = { condition: [16, 16], image: [8, 8] };
    expect(() => parseBundle(JSON.stringify({ ...document(), autoencoders, grids }))).toThrow(
      "autoencoders.coupled needs one grid, but grids.image is 8 × 8 and grids.condition 16 × 16",
    );
    const equal = { autoencoders: { ...SHAPES, coupled: true }, grids: { condition: [8, 8], image: [8, 8] } };
    expect(parseBundle(JSON.stringify({ ...document(), ...equal })).autoencoders.coupled).toBe(true);
  });

  test("that is not JSON is refused, and whatever else it is, no other error comes", () => {
    expect(() => parseBundle("{")).toThrow("it is not valid JSON");
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(document())), fc.jsonValue(), (name, value) => {
        try {
          parseBundle(JSON.stringify({ ...document(), [name]: value }));
        } catch (error) {
          expect(error).toBeInstanceOf(ModelError);
        }
      }),
      { numRuns: 300, seed: 1 },
    );
  });
});

describe("model.safetensors", () => {
  const parts = () => {
    const bytes = example.files[WEIGHTS_FILE]!;
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    return {
      header: JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))),
      body: bytes.subarray(8 + length),
    };
  };
  const write = (header: unknown, body: Uint8Array) => {
    const text = new TextEncoder().encode(JSON.stringify(header));
    const file = new Uint8Array(8 + text.length + body.length);
    new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
    file.set(text, 8);
    file.set(body, 8 + text.length);
    return file;
  };
  const name = "transformer.head.weight";

  test("is read wherever it lies in memory", () => {
    const { header, body } = parts();
    for (let pad = 0; pad < 8; pad++) {
      const weights = readWeights(write({ ...header, __metadata__: { pad: "x".repeat(pad) } }, body), example.model);
      expect(toFloat32(weights.get(name)!)).toEqual(toFloat32(example.weights.get(name)!));
    }
  });

  test.each([
    ["a tensor fewer", () => ({ [name]: undefined }), "it lacks the tensor transformer.head.weight"],
    ["one more", () => ({ more: { dtype: "F32", shape: [0], data_offsets: [0, 0] } }), "the tensor more, which"],
    ["another type", () => ({ [name]: { ...parts().header[name], dtype: "BF16" } }), `${name}.dtype must be "F32"`],
    [
      "another shape",
      () => ({ [name]: { ...parts().header[name], shape: [16, 64] } }),
      "is [16, 64], but the model needs [32, 32]",
    ],
    [
      "a wrong length",
      () => ({ [name]: { ...parts().header[name], shape: [32, 33] } }),
      "bytes, but its shape needs 4224",
    ],
    [
      "bytes beyond the end",
      () => ({ [name]: { ...parts().header[name], data_offsets: [1e7, 1e7 + 4096] } }),
      "it is cut off within the tensor",
    ],
  ])("with %s is refused", (_, change, message) => {
    const { header, body } = parts();
    expect(() => readWeights(write({ ...header, ...change() }, body), example.model)).toThrow(ModelError);
    expect(() => readWeights(write({ ...header, ...change() }, body), example.model)).toThrow(message);
  });

  test("that is cut off anywhere is refused", () => {
    const bytes = example.files[WEIGHTS_FILE]!;
    for (const length of [0, 7, 8, 100, 5000, bytes.length - 1])
      expect(() => readWeights(bytes.subarray(0, length), example.model)).toThrow(ModelError);
  });

  test.each(["f16", "int8"] as const)("in %s holds nearly the same numbers", async (type) => {
    const small = await exampleOf("tiny", { type });
    const share = small.files[WEIGHTS_FILE]!.length / example.files[WEIGHTS_FILE]!.length;
    expect(share).toBeLessThan(type === "f16" ? 0.6 : 0.4);
    for (const [each, weight] of example.weights) {
      const [exact, close] = [toFloat32(weight), toFloat32(small.weights.get(each)!)];
      const largest = exact.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const apart = exact.reduce((most, value, i) => Math.max(most, Math.abs(value - close[i]!)), 0);
      expect(apart, each).toBeLessThanOrEqual(largest * (type === "f16" ? 2 ** -11 : 0.5 / 126));
    }
  });

  test("halves are IEEE 754's", () => {
    const cases = [
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x0400, 2 ** -14],
      [0x0001, 2 ** -24],
      [0x7c00, Infinity],
    ];
    for (const [bits, value] of cases) expect(halfToFloat(bits!)).toBe(value);
    expect(halfToFloat(0x7e00)).toBeNaN();
  });
});

test("the files of a model take half as much with 16 bits, and a quarter with 8", async () => {
  const sizes = [];
  for (const type of ["f32", "f16", "int8"] as const) {
    const { files } = await exampleOf("start", { type });
    sizes.push(Object.values(files).reduce((sum, bytes) => sum + bytes.length, 0));
  }
  const [whole, half, quarter] = sizes as [number, number, number];
  expect(half / whole).toBeLessThanOrEqual(0.51);
  expect(quarter / whole).toBeLessThanOrEqual(0.27);
});
