import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { WeightType } from "@iqvae/runtime";
import { manualSeed, noGrad, ops, scope, type Tensor, tensor, writeSafetensors } from "@iqvae/torch";
import * as ort from "onnxruntime-node";
import { conditionFor, conditionShape } from "../../src/conditions/index.ts";
import { type Config, type PresetName, parseConfig, presets } from "../../src/config/index.ts";
import { conditionSpec } from "../../src/data/index.ts";
import { describeModel } from "../../src/export/describe.ts";
import { GRAPHS } from "../../src/export/graphs.ts";
import { type Models, neededWeights, storedTensors, storedWeights } from "../../src/export/weights.ts";
import { IqVae } from "../../src/models/iqvae.ts";
import { Transformer } from "../../src/models/transformer.ts";
import { transformerConfig } from "../../src/stage2/config.ts";

/** A preset with its layers, and fewer channels, codes and features in them. */
export function smallConfig(
  name: PresetName,
  change: (config: (typeof presets)[PresetName]) => unknown = (c) => c,
): Config {
  const preset = presets[name];
  const { image, condition } = preset.stage1.model;
  const small = { channels: 16, codes: 24, codeDim: 4 };
  return parseConfig(
    change({
      ...preset,
      stage1: {
        ...preset.stage1,
        model: { image: { ...image, ...small }, condition: { ...condition, ...small, codes: 20 } },
      },
      stage2: { ...preset.stage2, model: { ...preset.stage2.model, layers: 3, width: 48, heads: 6 } },
      precision: "float32",
    } as (typeof presets)[PresetName]),
    name,
  );
}

/** Models whose weights are random, but no two norms alike, no bias 0, and predictions that differ much. */
export function randomModels(config: Config): Models {
  manualSeed(7);
  const iqvae = new IqVae(config.stage1.model, conditionFor(conditionSpec(config.data), config.data.size));
  const transformer = new Transformer(transformerConfig(config.stage2), iqvae.tokenShape(config.data.size));
  noGrad(() => {
    for (const weight of [...iqvae.namedParameters().values(), ...transformer.namedParameters().values()])
      if (weight.ndim === 1) scope(() => weight.add_(ops.aten.randn_like(weight).mul(0.2)));
    for (const weight of transformer.namedParameters().values()) if (weight.ndim === 2) weight.mul_(6);
  });
  return { iqvae, transformer };
}

/** Samples of a kind of condition, uint8 `[B, …]`, of random bytes that mean something. */
export function randomConditions({ data }: Config, count: number): Tensor {
  const spec = conditionSpec(data);
  const shape = [count, ...conditionShape(spec, data.size)];
  const below = (most: number) => ops.aten.randint(0, most, shape).to("uint8");
  switch (spec.kind) {
    case "semantic":
      return below(spec.classes.length);
    case "lines":
    case "edges":
      return below(2);
    case "text":
      return below(128);
    case "audio":
      return below(256);
    case "keypoints": {
      const points = below(256);
      points.select(2, 2).fill_(1);
      return points;
    }
    case "layout": {
      const boxes = below(200);
      boxes.select(2, 0).remainder_(spec.classes.length + 1);
      return boxes;
    }
  }
}

/** Writes weights and graphs into a folder. @returns what the weights are stored as */
export function writeGraphs(
  folder: string,
  config: Config,
  models: Models,
  type: WeightType = "f32",
): Map<string, Tensor> {
  const shape = describeModel(config, type);
  const stored = storedWeights(neededWeights(models, shape), type);
  writeSafetensors(join(folder, "model.safetensors"), stored);
  const places = storedTensors(join(folder, "model.safetensors"), "model.safetensors");
  for (const [name, make] of Object.entries(GRAPHS)) writeFileSync(join(folder, name), make(shape, places).encode());
  return stored;
}

/** Runs one of the graphs. */
export async function session(folder: string, name: string) {
  const loaded = await ort.InferenceSession.create(join(folder, name), { intraOpNumThreads: 1, logSeverityLevel: 3 });
  return {
    ...loaded,
    run: async (feeds: Readonly<Record<string, ort.Tensor>>) => (await loaded.run(feeds)) as Record<string, ort.Tensor>,
    inputNames: loaded.inputNames,
    release: () => loaded.release(),
  };
}

export function feed(values: Tensor): ort.Tensor {
  const { shape } = values;
  if (values.dtype === "int64") return new ort.Tensor("int64", values.contiguous().read("int64"), shape);
  return new ort.Tensor("float32", values.contiguous().read("float32"), shape);
}

export function back(values: ort.Tensor): Tensor {
  return tensor(values.data as Float32Array | BigInt64Array | Uint8Array, { shape: values.dims as number[] });
}

/** The largest difference, as a share of the largest value. */
export function difference(given: Tensor, wanted: Tensor): number {
  return given.sub(wanted).abs().amax().item() / wanted.abs().amax().item();
}

const F16 = { multipliers: [1, 1, 2, 2, 4], blocks: 2, patch: 1 as const };

/** Every preset that brings its data, and the layers of those that do not. */
export const CASES: readonly [string, Config][] = [
  ...(
    [
      "tiny",
      "start",
      "faces-lines",
      "emoji",
      "hands",
      "heroes",
      "scenes",
      "words",
      "speech",
      "earth",
    ] satisfies PresetName[]
  ).map((name): [string, Config] => [name, smallConfig(name)]),
  [
    "start, coupled",
    smallConfig("start", ({ stage1, ...rest }) => ({
      ...rest,
      stage1: { ...stage1, model: { ...stage1.model, coupled: true } },
    })),
  ],
  [
    "the layers of paper-ade20k",
    smallConfig("faces", ({ stage1, ...rest }) => {
      const { image, condition } = stage1.model;
      return {
        ...rest,
        stage1: { ...stage1, model: { image: { ...image, ...F16 }, condition: { ...condition, ...F16 } } },
      };
    }),
  ],
];
