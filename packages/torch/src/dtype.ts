/** Element types by their PyTorch names. `bfloat16` and `float16` travel as bits in a `Uint16Array`. */
export type DType =
  | "uint8"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "float16"
  | "float32"
  | "float64"
  | "complex64"
  | "complex128"
  | "bool"
  | "bfloat16";

type DeviceKind = "cpu" | "cuda" | "meta" | "mps" | "xpu" | "hip";
/** For example `cuda`, the current one, or `cuda:1`. */
export type Device = DeviceKind | `${DeviceKind}:${number}`;

export type Layout = "strided" | "sparse_coo";
export type MemoryFormat = "contiguous_format" | "preserve_format" | "channels_last" | "channels_last_3d";

/** The typed array that carries each dtype across the border. */
export interface TypedArrayOf {
  uint8: Uint8Array;
  int8: Int8Array;
  int16: Int16Array;
  int32: Int32Array;
  int64: BigInt64Array;
  float16: Uint16Array;
  float32: Float32Array;
  float64: Float64Array;
  complex64: Float32Array;
  complex128: Float64Array;
  bool: Uint8Array;
  bfloat16: Uint16Array;
}
export type TypedArray = TypedArrayOf[DType];

/** c10::ScalarType's numbers, the same in every libtorch. */
export const DTYPE_CODES: Readonly<Record<DType, number>> = {
  uint8: 0,
  int8: 1,
  int16: 2,
  int32: 3,
  int64: 4,
  float16: 5,
  float32: 6,
  float64: 7,
  complex64: 9,
  complex128: 10,
  bool: 11,
  bfloat16: 15,
};
export const LAYOUT_CODES: Readonly<Record<Layout, number>> = { strided: 0, sparse_coo: 1 };
export const MEMORY_FORMAT_CODES: Readonly<Record<MemoryFormat, number>> = {
  contiguous_format: 0,
  preserve_format: 1,
  channels_last: 2,
  channels_last_3d: 3,
};

const NAMES = new Map(Object.entries(DTYPE_CODES).map(([name, code]) => [code, name as DType]));

export function dtypeName(code: number): DType {
  const name = NAMES.get(code);
  if (name === undefined) throw new TypeError(`libtorch's scalar type ${code} has no name here`);
  return name;
}

const ARRAYS: { [D in DType]: new (length: number) => TypedArrayOf[D] } = {
  uint8: Uint8Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
  complex64: Float32Array,
  complex128: Float64Array,
  bool: Uint8Array,
  bfloat16: Uint16Array,
};

/** An empty typed array that can hold `count` elements of `dtype`. */
export function typedArrayFor<D extends DType>(dtype: D, count: number): TypedArrayOf[D] {
  if (!Object.hasOwn(ARRAYS, dtype))
    throw new TypeError(`there is no dtype '${dtype}'; choose one of ${Object.keys(ARRAYS).join(", ")}`);
  const perElement = dtype === "complex64" || dtype === "complex128" ? 2 : 1;
  return new ARRAYS[dtype](count * perElement);
}

/** The dtype that a typed array stands for when none is named. */
export function dtypeOfArray(array: TypedArray): DType {
  if (array instanceof Float32Array) return "float32";
  if (array instanceof Float64Array) return "float64";
  if (array instanceof BigInt64Array) return "int64";
  if (array instanceof Int32Array) return "int32";
  if (array instanceof Uint8Array) return "uint8";
  if (array instanceof Int8Array) return "int8";
  if (array instanceof Int16Array) return "int16";
  if (array instanceof Uint16Array)
    throw new TypeError(
      'tensor() cannot tell the dtype of a Uint16Array; name it, e.g. { dtype: "bfloat16" } for bits in a Uint16Array',
    );
  const { name } = (array as { constructor: { name: string } }).constructor;
  throw new TypeError(
    `tensor() has no dtype for a ${name}; copy it into an array of another type, such as Float32Array.from(x) or Uint8Array.from(x)`,
  );
}
