import { createHash } from "node:crypto";
import { parseBundle } from "../../../packages/runtime/src/bundle.ts";
import { readWeights, toFloat32, type Weight } from "../../../packages/runtime/src/weights.ts";

/** A model as the page fetches it. */
export interface Rounded {
  readonly json: string;
  readonly weights: Uint8Array;
}

const MOST = 127;

/**
 * Rounds the weights of an exported model to 8 bits, as `iqvae export --weights int8` stores them (docs/export.md): to visit a page costs
 * half of the bytes then. A model that has 8 bits stays as it is.
 *
 * @param json the text of `model.json`
 * @param weights the bytes of `model.safetensors`
 */
export function roundModel(json: string, weights: Uint8Array): Rounded {
  const model = parseBundle(json);
  if (model.weights === "int8") return { json, weights };
  const [rows, scales, vectors]: [Tensor[], Tensor[], Tensor[]] = [[], [], []];
  for (const [name, weight] of readWeights(weights, model)) {
    const values = valuesOf(weight);
    const { shape } = weight;
    if (shape.length === 1) {
      vectors.push({ name, dtype: "F32", shape, data: values });
      continue;
    }
    const rounded = byRow(values, shape[0]!);
    rows.push({ name, dtype: "I8", shape, data: rounded.rows });
    scales.push({ name: `${name}.scale`, dtype: "F32", shape: [shape[0]!], data: rounded.scales });
  }
  // Floats first: they have to lie at multiples of 4.
  const stored = safetensors([...vectors, ...scales, ...rows]);
  const sha256 = createHash("sha256").update(stored).digest("hex");
  const files = { "model.safetensors": { bytes: stored.length, sha256 } };
  return { json: JSON.stringify({ ...JSON.parse(json), weights: "int8", files }), weights: stored };
}

/** Whole numbers, and a scale for each row, whose largest number is exact. A row of zeros has any scale. */
function byRow(values: Float32Array, count: number): { rows: Int8Array; scales: Float32Array } {
  const length = values.length / count;
  const rows = new Int8Array(values.length);
  const scales = new Float32Array(count).fill(1);
  for (let row = 0; row < count; row++) {
    const begin = row * length;
    let largest = 0;
    for (let i = begin; i < begin + length; i++) largest = Math.max(largest, Math.abs(values[i]!));
    if (largest > 0) scales[row] = largest / MOST;
    for (let i = begin; i < begin + length; i++) rows[i] = toEven(Math.fround(values[i]! / scales[row]!));
  }
  return { rows, scales };
}

/** From here on neighbors in float32 are 1 apart, so that a sum is rounded to whole numbers, halves to even ones, as IEEE 754 says. */
const WHOLE = 1.5 * 2 ** 23;

/** @param value of at most 2 ** 22 */
function toEven(value: number): number {
  return Math.fround(value + WHOLE) - WHOLE;
}

/** Float32 values of all binary16 numbers: a look is faster than reading each of millions. */
const HALVES = toFloat32({
  shape: [65_536],
  type: "f16",
  data: Uint16Array.from({ length: 65_536 }, (_, bits) => bits),
});

function valuesOf(weight: Weight): Float32Array {
  if (weight.type !== "f16") return toFloat32(weight);
  const values = new Float32Array(weight.data.length);
  for (let i = 0; i < values.length; i++) values[i] = HALVES[weight.data[i]!]!;
  return values;
}

interface Tensor {
  readonly name: string;
  readonly dtype: "F32" | "I8";
  readonly shape: readonly number[];
  readonly data: Float32Array | Int8Array;
}

function safetensors(tensors: readonly Tensor[]): Uint8Array {
  let at = 0;
  const entries = tensors.map(({ name, dtype, shape, data }) => {
    const begin = at;
    at += data.byteLength;
    return [name, { dtype, shape, data_offsets: [begin, at] }] as const;
  });
  const text = JSON.stringify(Object.fromEntries(entries));
  const header = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const parts = tensors.map(({ data: { buffer, byteOffset, byteLength } }) =>
    Buffer.from(buffer, byteOffset, byteLength),
  );
  return Buffer.concat([length, header, ...parts]);
}
