import { WEIGHTS_FILE } from "./bundle.ts";
import { ModelError } from "./errors.ts";
import { array, type Fail, object, oneOf, whole } from "./json.ts";
import { type ModelShape, weightShapes } from "./layers.ts";

/**
 * A tensor as it is stored, row-major. A row is what its first dimension numbers.
 *
 * | `type` | in the file | a value is |
 * |---|---|---|
 * | `f32` | `F32` | itself |
 * | `f16` | `F16` | itself; `data` holds its bits |
 * | `int8` | `I8`, and `NAME.scale`, `F32` of one number a row | the number times the scale of its row |
 *
 * Each tensor may have another type; vectors (one dimension) are `f32` always.
 */
export type Weight = { readonly shape: readonly number[] } & (
  | { readonly type: "f32"; readonly data: Float32Array }
  | { readonly type: "f16"; readonly data: Uint16Array }
  | { readonly type: "int8"; readonly data: Int8Array; readonly scales: Float32Array }
);

/** All tensors of a model by their names. */
export type Weights = ReadonlyMap<string, Weight>;

const TYPES = { F32: 4, F16: 2, I8: 1 } as const;
const SCALE = ".scale";

interface Entry {
  readonly dtype: keyof typeof TYPES;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads `model.safetensors` and checks that it has the tensors of the model, all of them and no others.
 *
 * @param bytes the whole file; the tensors are views of it where they are aligned
 * @throws ModelError that names the tensor
 */
export function readWeights(bytes: Uint8Array, model: ModelShape): Weights {
  const fail: Fail = (reason) => {
    throw new ModelError(WEIGHTS_FILE, "damaged", `${reason}; fetch the file again, or export the run again`);
  };
  const { entries, body } = readHeader(bytes, fail);
  const shapes = weightShapes(model);
  for (const name of entries.keys()) {
    const owner = name.endsWith(SCALE) ? name.slice(0, -SCALE.length) : name;
    if (!shapes.has(owner)) fail(`it holds the tensor ${name}, which the model has no use for`);
  }
  const data = <T>(entry: Entry, view: { new (buffer: ArrayBufferLike, at: number, length: number): T }): T => {
    const size = TYPES[entry.dtype];
    const at = body.byteOffset + entry.begin;
    const length = (entry.end - entry.begin) / size;
    if (at % size === 0) return new view(body.buffer, at, length);
    return new view(body.slice(entry.begin, entry.end).buffer, 0, length);
  };
  const weights = new Map<string, Weight>();
  for (const [name, shape] of shapes) {
    const entry = entries.get(name) ?? fail(`it lacks the tensor ${name}`);
    if (entry.shape.join() !== shape.join())
      fail(`the tensor ${name} is [${entry.shape.join(", ")}], but the model needs [${shape.join(", ")}]`);
    if (shape.length === 1 && entry.dtype !== "F32") fail(`the tensor ${name} is ${entry.dtype}, but a vector is F32`);
    const scale = entries.get(name + SCALE);
    if ((scale !== undefined) !== (entry.dtype === "I8"))
      fail(
        `the tensor ${name} is ${entry.dtype} ${scale === undefined ? "without" : "with"} the tensor ${name}${SCALE}`,
      );
    if (entry.dtype === "F32") weights.set(name, { shape, type: "f32", data: data(entry, Float32Array) });
    else if (entry.dtype === "F16") weights.set(name, { shape, type: "f16", data: data(entry, Uint16Array) });
    else {
      if (scale!.dtype !== "F32" || scale!.shape.join() !== String(shape[0]))
        fail(`the tensor ${name}${SCALE} must be F32 [${shape[0]}]`);
      weights.set(name, { shape, type: "int8", data: data(entry, Int8Array), scales: data(scale!, Float32Array) });
    }
  }
  return weights;
}

function readHeader(bytes: Uint8Array, fail: Fail): { entries: Map<string, Entry>; body: Uint8Array } {
  if (bytes.length < 8) fail(`it is cut off after ${bytes.length} bytes`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  if (8 + length > bytes.length) fail(`it is cut off: its header alone has ${length} bytes, and ${bytes.length} came`);
  const body = bytes.subarray(8 + length);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length)));
  } catch (error) {
    fail(`its header is not valid JSON (${(error as Error).message})`);
  }
  const entries = new Map<string, Entry>();
  for (const [name, value] of Object.entries(object(header, "its header", fail))) {
    if (name === "__metadata__") continue;
    const fields = object(value, name, fail);
    const dtype = oneOf(fields.dtype, `${name}.dtype`, fail, ["F32", "F16", "I8"]);
    const count = (number: unknown, where: string) => whole(number, where, fail, 0, Number.MAX_SAFE_INTEGER);
    const shape = array(fields.shape, `${name}.shape`, fail, count);
    const [begin = -1, end = -1] = array(fields.data_offsets, `${name}.data_offsets`, fail, count);
    const size = shape.reduce((product, side) => product * side, TYPES[dtype]);
    if (end - begin !== size) fail(`the tensor ${name} has ${end - begin} bytes, but its shape needs ${size}`);
    if (end > body.length) fail(`it is cut off within the tensor ${name}`);
    entries.set(name, { dtype, shape, begin, end });
  }
  return { entries, body };
}

/** The values of a tensor as float32, row-major. */
export function toFloat32(weight: Weight): Float32Array {
  switch (weight.type) {
    case "f32":
      return weight.data;
    case "f16": {
      const { data } = weight;
      const values = new Float32Array(data.length);
      for (let i = 0; i < data.length; i++) values[i] = halfToFloat(data[i]!);
      return values;
    }
    case "int8": {
      const { data, scales } = weight;
      const row = data.length / scales.length;
      return Float32Array.from(data, (value, i) => value * scales[Math.floor(i / row)]!);
    }
  }
}

/** A number of IEEE 754's binary16, given its bits. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
