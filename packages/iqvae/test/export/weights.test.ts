import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { readWeights, toFloat32, WEIGHT_TYPES, weightShapes } from "@iqvae/runtime";
import { ops, type Tensor, tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { conditionFor } from "../../src/conditions/index.ts";
import { parseConfig, presets } from "../../src/config/index.ts";
import { conditionSpec } from "../../src/data/index.ts";
import { describeModel } from "../../src/export/describe.ts";
import { GRAPHS } from "../../src/export/graphs.ts";
import { neededWeights, restoredWeights, storedWeights } from "../../src/export/weights.ts";
import { temporaryFolder } from "../run/support.ts";
import { initializersOf } from "./read-onnx.ts";
import {
  back,
  CASES,
  difference,
  feed,
  randomConditions,
  randomModels,
  session,
  smallConfig,
  writeGraphs,
} from "./support.ts";

const SCALE = ".scale";

describe.each(CASES)("%s", (_, config) => {
  test.each(WEIGHT_TYPES)("%s: the graphs name every tensor of the file once, where it lies", (type) => {
    const folder = temporaryFolder();
    const models = randomModels(config);
    const stored = writeGraphs(folder, config, models, type);
    const file = readFileSync(join(folder, "model.safetensors"));
    const named = new Map(
      Object.keys(GRAPHS).map((name) => [
        name,
        initializersOf(readFileSync(join(folder, name))).filter((each) => each.external),
      ]),
    );
    // A token at a time takes what a whole sequence takes, but for the table of the condition.
    const names = (graph: string) => named.get(graph)!.map(({ name }) => name);
    const sequence = names("transformer.onnx").filter((name) => !name.startsWith("transformer.conditionEmbedding."));
    expect(names("step.onnx").sort()).toEqual(sequence.sort());

    // A coupled image decoder looks the condition's codes up as well.
    const shared = names("image.onnx").filter((name) => name.startsWith("condition.quantizer.codebook"));
    expect(shared.length > 0).toBe(config.stage1.model.coupled);
    const pictures = names("image.onnx").filter((name) => !shared.includes(name));
    const once = [...["condition.onnx", "transformer.onnx"].flatMap(names), ...pictures];
    expect(once.sort()).toEqual([...stored.keys()].sort());
    const weights = once.filter((name) => !name.endsWith(SCALE));
    expect(weights).toEqual([...weightShapes(describeModel(config, type)).keys()].sort());

    for (const { name, dims, external } of [...named.values()].flat()) {
      const wanted = stored.get(name)!;
      expect([name, dims]).toEqual([name, wanted.shape]);
      expect(external!.location).toBe("model.safetensors");
      const bytes = file.subarray(external!.offset, external!.offset + external!.length);
      expect(bytes.equals(Buffer.from(wanted.contiguous().reshape([-1]).view("uint8").read("uint8"))), name).toBe(true);
    }
  });

  test.each(WEIGHT_TYPES)("%s: the runtime reads what was written", (type) => {
    const folder = temporaryFolder();
    const stored = writeGraphs(folder, config, randomModels(config), type);
    const restored = restoredWeights(stored);
    const read = readWeights(readFileSync(join(folder, "model.safetensors")), describeModel(config, type));
    expect([...read.keys()].sort()).toEqual([...restored.keys()].sort());
    for (const [name, weight] of read)
      expect(toFloat32(weight), name).toEqual(restored.get(name)!.contiguous().read("float32"));
  });
});

test.each(["f16", "int8"] as const)("%s: graphs compute with what the stored weights stand for", async (type) => {
  const config = smallConfig("start");
  const folder = temporaryFolder();
  const models = randomModels(config);
  const restored = restoredWeights(writeGraphs(folder, config, models, type));
  const exact = neededWeights(models, describeModel(config, type));
  const largest = Math.max(...[...exact].map(([name, weight]) => difference(restored.get(name)!, weight.detach())));
  expect(largest).toBeGreaterThan(0);
  expect(largest).toBeLessThan(type === "f16" ? 2 ** -11 : 0.5 / 127 + 1e-6);
  for (const [name, weight] of exact) weight.detach().copy_(restored.get(name)!);

  const samples = randomConditions(config, 2);
  const kind = conditionFor(conditionSpec(config.data), config.data.size);
  const { tokens } = await (await session(folder, "condition.onnx")).run({ planes: feed(kind.toPlanes(samples)) });
  expect(tokens!.data).toEqual(models.iqvae.encodeCondition(samples).read("int64"));
  const drawn = ops.aten.randint(0, 24, [2, 8, 8]);
  const { pixels } = await (await session(folder, "image.onnx")).run({ tokens: feed(drawn) });
  const apart = back(pixels!).to("int64").sub(models.iqvae.decodeImage(drawn, null).to("int64")).abs();
  expect(apart.amax().item()).toBeLessThanOrEqual(1);
});

const oneWeight = (values: number[][]): Map<string, Tensor> =>
  new Map([["w", tensor(Float32Array.from(values.flat()), { shape: [values.length, values[0]!.length] })]]);

test("int8: each row has its own scale, its largest number is exact, and zeros stay zeros", () => {
  const stored = storedWeights(
    oneWeight([
      [1, -0.5, 0.25],
      [0, 0, 0],
      [3e-9, 1e-9, -3e-9],
    ]),
    "int8",
  );
  expect(stored.get("w")!.read("int8")).toEqual(Int8Array.of(127, -64, 32, 0, 0, 0, 127, 42, -127));
  const [first, , last] = stored.get(`w${SCALE}`)!.read("float32");
  expect(first).toBeCloseTo(1 / 127, 8);
  expect(last! * 127).toBeCloseTo(3e-9, 15);
});

test("f16: a number that it does not have is named, with its tensor", () => {
  expect(() => storedWeights(oneWeight([[1, 70_000]]), "f16")).toThrow(/^w holds 70000.*65504.*--weights f32/);
  expect(storedWeights(oneWeight([[1, 65_504]]), "f16").get("w")!.dtype).toBe("float16");
});

test("half and a quarter of the size, for a model of an ordinary size", () => {
  const config = parseConfig({ ...presets.start, precision: "float32" }, "start");
  const bytes = WEIGHT_TYPES.map((type) => {
    const folder = temporaryFolder();
    writeGraphs(folder, config, randomModels(config), type);
    return ["model.safetensors", ...Object.keys(GRAPHS)].reduce(
      (sum, name) => sum + statSync(join(folder, name)).size,
      0,
    );
  });
  expect(bytes[1]! / bytes[0]!).toBeLessThan(0.51);
  expect(bytes[2]! / bytes[0]!).toBeLessThan(0.27);
});
