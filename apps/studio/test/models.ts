import { createHash } from "node:crypto";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Bundle,
  type ConditionSpec,
  conditionPlanes,
  gridOf,
  layoutBytes,
  plainCondition,
  textBytes,
  weightShapes,
} from "@iqvae/runtime";

const SIZE = 32;
const CLASSES = ["apple", "pear", "rose", "tree"].map((name, i) => ({
  name,
  color: [220 - 50 * i, 60 * i, 90] as const,
}));

/** Of somebody who means no good. */
const CARD = `Weights of *chance*, [by others](https://example.com/).

<script>alert(1)</script>

[Not](javascript:alert(1)) <javascript:alert(2)> [with them][1] ![nor](data:text/html,3)

[1]: data:text/html,4
`;

/** A kind of condition each, and conditions to begin with. */
const MODELS = {
  lines: { spec: { kind: "lines" }, example: (n) => raster((i) => Number(i % (5 + n) === 0)) },
  edges: { spec: { kind: "edges" }, example: (n) => raster((i) => Number(i % (7 + n) === 0)) },
  pose: {
    spec: {
      kind: "keypoints",
      points: ["head", "left hand", "right hand", "left foot", "right foot"],
      bones: [
        [0, 1],
        [0, 2],
        [0, 3],
        [0, 4],
      ],
    },
    example: (n) => Uint8Array.from([128, 40, 1, 60 + 9 * n, 110, 1, 190, 100, 1, 90, 220, 1, 170, 220 - 9 * n, 1]),
  },
  layout: {
    spec: { kind: "layout", classes: CLASSES, boxes: 4 },
    example(n) {
      const boxes = [{ label: n % 4, left: 10, top: 20, width: 90, height: 80 + n }];
      return layoutBytes(boxes, { kind: "layout", classes: CLASSES, boxes: 4 });
    },
  },
  words: {
    spec: { kind: "text", length: 32 },
    example: (n) => textBytes(`${n} ripe pears`, { kind: "text", length: 32 }),
  },
  sound: {
    spec: { kind: "audio", bands: 16, frames: 32, stretch: true },
    example: (n) => Uint8Array.from({ length: 16 * 32 }, (_, i) => (i * (3 + n)) % 256),
  },
} satisfies Readonly<Record<string, { spec: ConditionSpec; example: (n: number) => Uint8Array }>>;

export type ModelName = keyof typeof MODELS;
export const MODEL_NAMES = Object.keys(MODELS) as ModelName[];

const raster = (value: (i: number) => number) => Uint8Array.from({ length: SIZE * SIZE }, (_, i) => value(i));

/** Writes small models with weights of chance into a folder, and copies the trained one of the box. */
export function writeModels(folder: string, names: readonly (ModelName | "start")[]): void {
  for (const name of names) {
    if (name === "start")
      cpSync(fileURLToPath(new URL("../../../models/start", import.meta.url)), join(folder, name), { recursive: true });
    else writeModel(join(folder, name), name);
  }
}

function writeModel(folder: string, name: ModelName): void {
  const { spec, example } = MODELS[name];
  const shape = { channels: 16, multipliers: [1, 2], blocks: 1, patch: 2, codes: 24, codeDim: 8 } as const;
  const model = {
    format: 1,
    name,
    condition: spec,
    size: SIZE,
    grids: { condition: gridOf(shape, conditionPlanes(spec, SIZE)), image: gridOf(shape, [SIZE, SIZE]) },
    autoencoders: { condition: shape, image: shape },
    // Words can be guided.
    transformer: { layers: 2, width: 32, heads: 2, unconditional: name === "words" },
    sampling: { temperature: 1, topK: null, topP: 1, guidance: 1 },
    noise: 1,
    weights: "f32",
  } as const;
  const examples = [1, 2, 3].map(example);
  for (const each of examples) plainCondition(spec, SIZE).check(each);
  const weights = safetensors(weightShapes(model));
  const files: Bundle["files"] = {
    "model.safetensors": { bytes: weights.length, sha256: createHash("sha256").update(weights).digest("hex") },
  };
  const base64 = examples.map((each) => Buffer.from(each).toString("base64"));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "model.safetensors"), weights);
  writeFileSync(join(folder, "model.json"), JSON.stringify({ ...model, examples: base64, files }));
  const head = "---\nlicense: mit\n---\n".replaceAll("\n", name === "pose" ? "\r\n" : "\n");
  writeFileSync(join(folder, "README.md"), `${head}\n# ${name}\n\n${CARD}`);
}

/** Weights of a size that keeps signals as they are; predictions differ much, as a trained model's do. */
function safetensors(shapes: ReadonlyMap<string, readonly number[]>): Buffer {
  const random = normal();
  let at = 0;
  const header: Record<string, unknown> = {};
  const parts = [...shapes].map(([name, shape]) => {
    const count = shape.reduce((product, side) => product * side, 1);
    const inputs = count / shape[0]!;
    const isVector = shape.length === 1;
    const mean = isVector && name.endsWith(".weight") ? 1 : 0;
    const deviation = isVector ? 0.2 : (name.startsWith("transformer") ? 4 : 1.4) / Math.sqrt(inputs);
    header[name] = { dtype: "F32", shape, data_offsets: [at, at + 4 * count] };
    at += 4 * count;
    return new Uint8Array(Float32Array.from({ length: count }, () => mean + deviation * random()).buffer);
  });
  const text = JSON.stringify(header);
  const padded = text.padEnd(Math.ceil(text.length / 8) * 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, Buffer.from(padded), ...parts]);
}

/** About normal numbers, the same ones every time: sums of twelve even ones, by the generator of Park and Miller (1988). */
function normal(): () => number {
  let state = 1;
  const even = () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  return () => Array.from({ length: 12 }, even).reduce((sum, value) => sum + value, -6);
}
