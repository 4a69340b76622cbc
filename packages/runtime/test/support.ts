import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { manualSeed, noGrad, ops, type Tensor } from "@iqvae/torch";
import { type Config, conditionFor, conditionSpec, IqVae, loadConfig, Transformer } from "iqvae";
import type { StoredTensor } from "../../iqvae/src/export/graph.ts";
import { GRAPHS } from "../../iqvae/src/export/graphs.ts";
import { type Bundle, MODEL_FILE, parseBundle, WEIGHTS_FILE, type WeightType } from "../src/bundle.ts";
import type { ReadFile } from "../src/engines/engine.ts";
import { weightShapes } from "../src/layers.ts";
import { readWeights, type Weights } from "../src/weights.ts";

/** A model with weights of chance, in libtorch and as the files of an exported folder. */
export interface Example {
  readonly iqvae: IqVae;
  readonly transformer: Transformer;
  readonly model: Bundle;
  readonly weights: Weights;
  /** `model.json`, `model.safetensors` and the graphs. */
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Reads one of them, as an engine does. */
  readonly read: ReadFile;
}

/**
 * @param options.unconditional whether it can be guided
 * @param options.change changes the weights of the transformer
 */
export async function exampleOf(
  preset: string,
  options: {
    /** Default: that of the preset. */
    readonly config?: Config;
    readonly unconditional?: boolean;
    readonly type?: WeightType;
    readonly change?: (transformer: Transformer) => void;
  } = {},
): Promise<Example> {
  const { unconditional = false, type = "f32", change = () => {} } = options;
  const config = options.config ?? (await loadConfig(preset));
  const { size } = config.data;
  const condition = conditionSpec(config.data);
  manualSeed(1);
  const iqvae = new IqVae(config.stage1.model, conditionFor(condition, size));
  const { layers, width, heads } = config.stage2.model;
  const shape = { layers, width, heads, dropout: 0, unconditional };
  const transformer = new Transformer(shape, iqvae.tokenShape(size));
  // Predictions that differ much from position to position, as a trained model's do; no two norms alike, no bias 0.
  noGrad(() => {
    for (const weight of transformer.namedParameters().values())
      if (weight.ndim === 2) weight.mul_(4);
      else weight.add_(ops.aten.randn_like(weight).mul(0.3));
  });
  change(transformer);
  const description = {
    format: 1,
    name: preset,
    condition,
    size,
    grids: { condition: iqvae.conditionGrid, image: iqvae.image.gridFor([size, size]) },
    autoencoders: config.stage1.model,
    transformer: { layers, width, heads, unconditional },
    sampling: { temperature: 1, topK: null, topP: 1, guidance: 1 },
    noise: 1,
    weights: type,
  };
  const state = new Map<string, Tensor>([
    ...iqvae.stateDict(),
    ...[...transformer.stateDict()].map(([name, value]) => [`transformer.${name}`, value] as const),
  ]);
  const described = description as unknown as Bundle;
  const { bytes, places } = safetensors(state, [...weightShapes(described)], type);
  const others: Record<string, Uint8Array> = { [WEIGHTS_FILE]: bytes };
  for (const [name, make] of Object.entries(GRAPHS)) others[name] = make(described, places).encode();
  const entries = Object.entries(others).map(([name, content]) => {
    const sha256 = createHash("sha256").update(content).digest("hex");
    return [name, { bytes: content.length, sha256 }] as const;
  });
  const json = JSON.stringify({ ...description, files: Object.fromEntries(entries) });
  const model = parseBundle(json);
  const files = { [MODEL_FILE]: new TextEncoder().encode(json), ...others };
  const read = async (name: string) => others[name]!;
  return { iqvae, transformer, model, weights: readWeights(bytes, model), files, read };
}

/** Writes the files to a new folder. */
export function writeFolder(folder: string, files: Example["files"]): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  return folder;
}

/** Condition bytes that mean something, decided by a number. */
export function someCondition({ model }: Pick<Example, "model">, seed: number): Uint8Array {
  const { condition, size } = model;
  const shape = conditionFor(condition, size).shape;
  const bytes = new Uint8Array(shape.reduce((product, side) => product * side, 1));
  switch (condition.kind) {
    case "semantic":
      return bytes.map((_, i) => ((i >> 3) * (seed + 1)) % condition.classes.length);
    case "lines":
    case "edges":
      return bytes.map((_, i) => Number((i * (seed + 3)) % 7 === 0));
    case "keypoints":
      return bytes.map((_, i) => (i % 3 === 2 ? 1 : (i * 37 + seed * 11) % 256));
    case "layout":
      bytes.set([1, 10, 20, 90 + seed, 70, 1, 100, 90, 120, 130 - seed]);
      return bytes;
    case "text":
      bytes.set(new TextEncoder().encode(`cat ${seed}`));
      return bytes;
    case "audio":
      return bytes.map((_, i) => (i * 13 + seed * 101) % 256);
  }
}

interface Part {
  readonly name: string;
  readonly dtype: "F32" | "F16" | "I8";
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

const ELEMENT_OF = { F32: "float32", F16: "float16", I8: "int8" } as const;

function safetensors(
  state: ReadonlyMap<string, Tensor>,
  shapes: readonly (readonly [string, readonly number[]])[],
  type: WeightType,
): { readonly bytes: Uint8Array; readonly places: ReadonlyMap<string, StoredTensor> } {
  const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    new Uint8Array(buffer, byteOffset, byteLength);
  const parts = shapes.flatMap(([name, shape]): Part[] => {
    const values = state.get(name)!.detach().contiguous();
    if (type === "f32" || shape.length === 1)
      return [{ name, shape, dtype: "F32", bytes: bytesOf(values.read("float32")) }];
    if (type === "f16") {
      const halves = values.to("float16").view("int16").read("int16");
      return [{ name, shape, dtype: "F16", bytes: bytesOf(halves) }];
    }
    const rows = values.reshape([shape[0]!, -1]);
    const scales = rows.abs().amax([1], true).div(127).clamp_min(1e-30);
    return [
      { name, shape, dtype: "I8", bytes: bytesOf(rows.div(scales).round().to("int8").read("int8")) },
      { name: `${name}.scale`, shape: [shape[0]!], dtype: "F32", bytes: bytesOf(scales.read("float32")) },
    ];
  });
  parts.sort((a, b) => Number(b.dtype === "F32") - Number(a.dtype === "F32"));
  let at = 0;
  const header: Record<string, unknown> = {};
  for (const { name, dtype, shape, bytes } of parts) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
  }
  let text = JSON.stringify(header);
  text = text.padEnd(Math.ceil(text.length / 8) * 8, " ");
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  const start = 8 + text.length;
  const places = parts.map(({ name, dtype, shape, bytes }, i): [string, StoredTensor] => {
    const before = parts.slice(0, i).reduce((sum, part) => sum + part.bytes.length, 0);
    const place = { location: WEIGHTS_FILE, offset: start + before, length: bytes.length };
    return [name, { element: ELEMENT_OF[dtype], shape, ...place }];
  });
  const bytes = Buffer.concat([length, new TextEncoder().encode(text), ...parts.map((part) => part.bytes)]);
  return { bytes, places: new Map(places) };
}
