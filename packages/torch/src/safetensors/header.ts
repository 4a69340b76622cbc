import type { DType } from "../dtype.ts";
import { repeatedName } from "./names.ts";

/** Where a tensor lies in the file and what it is. */
export interface SafetensorsEntry {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** First byte and the byte after the last, counted from the end of the header. */
  readonly start: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of their bytes in the file. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  /** Tensors whose dtype there is no name for here, such as `F8_E4M3` or `U16`: that dtype by name. They cannot be read. */
  readonly unsupported: ReadonlyMap<string, string>;
  readonly metadata: Readonly<Record<string, string>>;
  /** The byte of the file at which the tensors start. */
  readonly dataStart: number;
}

/** A file that cannot be read or written as safetensors: which, why, and what to do. */
export class SafetensorsError extends Error {
  override readonly name = "SafetensorsError";
  constructor(
    readonly path: string,
    reason: string,
    options?: ErrorOptions,
  ) {
    super(`${path}: ${reason}`, options);
  }
}

interface Format {
  readonly name: string;
  readonly dtype: DType;
  readonly bytes: number;
}

// In the order in which the reference implementation lays out a file, so that all tensors lie aligned.
const FORMATS: readonly Format[] = [
  { name: "I64", dtype: "int64", bytes: 8 },
  { name: "F64", dtype: "float64", bytes: 8 },
  { name: "F32", dtype: "float32", bytes: 4 },
  { name: "I32", dtype: "int32", bytes: 4 },
  { name: "BF16", dtype: "bfloat16", bytes: 2 },
  { name: "F16", dtype: "float16", bytes: 2 },
  { name: "I16", dtype: "int16", bytes: 2 },
  { name: "I8", dtype: "int8", bytes: 1 },
  { name: "U8", dtype: "uint8", bytes: 1 },
  { name: "BOOL", dtype: "bool", bytes: 1 },
];
const byName = new Map(FORMATS.map((format) => [format.name, format]));
const rankOf = new Map(FORMATS.map((format, rank) => [format.dtype, rank]));

/** The format's own bound: a forged length must not make the reader allocate. */
export const MOST_HEADER_BYTES = 100_000_000;
/** libtorch's operators take no more. */
const MOST_DIMENSIONS = 64;
const METADATA = "__metadata__";

type Fail = (reason: string) => never;

/** The place of every tensor, checked against the `dataBytes` that follow the header. */
export function parseHeader(
  text: string,
  dataBytes: number,
  fail: Fail,
): Pick<SafetensorsHeader, "tensors" | "unsupported" | "metadata"> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    fail(`its header is not JSON (${(error as Error).message})`);
  }
  // The format starts with the brace, without the white space that JSON would allow.
  if (!isRecord(json) || !text.startsWith("{")) return fail("its header is not a JSON object");
  const repeated = repeatedName(text);
  if (repeated !== undefined) fail(`its header names ${JSON.stringify(repeated)} twice`);

  const entries = Object.entries(json)
    .filter(([name]) => name !== METADATA)
    .map(([name, value]): [string, Parsed] => [
      name,
      parseEntry(value, (reason) => fail(`the entry of tensor ${JSON.stringify(name)} ${reason}`)),
    ])
    .sort(([, a], [, b]) => a.start - b.start || a.end - b.end);
  checkTiling(entries, dataBytes, fail);
  const tensors = new Map<string, SafetensorsEntry>();
  const unsupported = new Map<string, string>();
  for (const [name, { format, ...entry }] of entries) {
    const dtype = byName.get(format)?.dtype;
    if (dtype === undefined) unsupported.set(name, format);
    else tensors.set(name, { dtype, ...entry });
  }
  return { tensors, unsupported, metadata: parseMetadata(json, fail) };
}

type Parsed = Omit<SafetensorsEntry, "dtype"> & { readonly format: string };

function parseMetadata(json: Record<string, unknown>, fail: Fail): Record<string, string> {
  const metadata = Object.hasOwn(json, METADATA) ? json[METADATA] : {};
  if (!isRecord(metadata)) return fail(`its ${METADATA} is not an object`);
  for (const [key, value] of Object.entries(metadata))
    if (typeof value !== "string") fail(`its ${METADATA} holds no string at ${JSON.stringify(key)}`);
  return metadata as Record<string, string>;
}

function parseEntry(value: unknown, fail: Fail): Parsed {
  if (!isRecord(value)) return fail("is not an object");
  const { dtype, shape, data_offsets: offsets, ...unknown } = value;
  const strange = Object.keys(unknown)[0];
  if (strange !== undefined) fail(`has an unknown field ${JSON.stringify(strange)}`);
  if (typeof dtype !== "string") return fail(`has the dtype ${JSON.stringify(dtype)}, which is not a name`);
  if (!isCounts(shape)) return fail(`has the shape ${JSON.stringify(shape)}, which is not a list of sizes`);
  if (shape.length > MOST_DIMENSIONS) fail(`has ${shape.length} dimensions; at most ${MOST_DIMENSIONS} are possible`);
  if (!isCounts(offsets) || offsets.length !== 2)
    return fail(`has the data_offsets ${JSON.stringify(offsets)}, which are not two byte counts`);
  const [start, end] = offsets as [number, number];
  if (end < start) fail(`has the data_offsets ${JSON.stringify(offsets)}, which end before they start`);
  const format = byName.get(dtype); // none for a dtype of another version of the format, whose width is not known
  const bytes = format && byteCount(shape, format, fail);
  if (bytes !== undefined && end - start !== bytes)
    fail(`spans ${end - start} bytes, but its shape [${shape.join(", ")}] of ${dtype} takes ${bytes}`);
  return { format: dtype, shape, start, end };
}

function byteCount(shape: readonly number[], format: Format, fail: Fail): number {
  // Empty dimensions count as one here: libtorch multiplies the others up for its strides.
  const extent = shape.reduce((product, size) => product * Math.max(size, 1), format.bytes);
  if (!Number.isSafeInteger(extent)) fail(`has the shape [${shape.join(", ")}], which is too large for any machine`);
  return shape.includes(0) ? 0 : extent;
}

/** Tensors must follow each other without overlap or gap and fill the file: nothing is hidden, nothing is missing. */
function checkTiling(entries: readonly [string, Parsed][], dataBytes: number, fail: Fail): void {
  let position = 0;
  for (const [name, { start, end }] of entries) {
    if (start !== position) {
      const how = start < position ? "overlaps the tensor before it" : "leaves a gap before it";
      fail(`tensor ${JSON.stringify(name)} ${how}: it starts at byte ${start}, where ${position} was expected`);
    }
    position = end;
  }
  if (position > dataBytes)
    fail(`it is truncated: its tensors take ${position} bytes, but only ${dataBytes} follow the header`);
  if (position < dataBytes) fail(`its tensors take ${position} bytes, but ${dataBytes} follow the header`);
}

/** What a tensor to be written is. */
export type Described = Pick<SafetensorsEntry, "dtype" | "shape">;

/**
 * The header's bytes, its length in front, and the places of the tensors in the order in which they are to be written: wide
 * elements first, then by name, as the reference implementation does.
 */
export function buildHeader(
  tensors: ReadonlyMap<string, Described>,
  metadata: Readonly<Record<string, string>>,
  fail: Fail,
): { bytes: Buffer; entries: Map<string, SafetensorsEntry> } {
  const fields = Object.keys(metadata).length > 0 ? [`${quote(METADATA, fail)}:${quoteMetadata(metadata, fail)}`] : [];
  const entries = new Map<string, SafetensorsEntry>();
  let position = 0;
  for (const [name, { dtype, shape }] of [...tensors].sort(inFileOrder)) {
    if (name === METADATA) fail(`no tensor can be named ${METADATA}: the format keeps the name for itself`);
    const format = FORMATS[rankOf.get(dtype) ?? -1];
    if (format === undefined)
      return fail(`tensor ${JSON.stringify(name)} is ${dtype}, which the format does not have; convert it first`);
    const end = position + shape.reduce((product, size) => product * size, format.bytes);
    entries.set(name, { dtype, shape, start: position, end });
    const described = { dtype: format.name, shape, data_offsets: [position, end] };
    fields.push(`${quote(name, fail)}:${JSON.stringify(described)}`);
    position = end;
  }
  const text = Buffer.from(`{${fields.join(",")}}`);
  const padded = Math.ceil(text.length / 8) * 8;
  if (padded > MOST_HEADER_BYTES)
    fail(`the names of its tensors and its metadata take ${padded} bytes; the format allows ${MOST_HEADER_BYTES}`);
  const bytes = Buffer.alloc(8 + padded, " ");
  bytes.writeBigUInt64LE(BigInt(padded));
  text.copy(bytes, 8);
  return { bytes, entries };
}

function inFileOrder([nameA, a]: [string, Described], [nameB, b]: [string, Described]): number {
  const rank = (dtype: DType) => rankOf.get(dtype) ?? FORMATS.length;
  return rank(a.dtype) - rank(b.dtype) || Buffer.compare(Buffer.from(nameA), Buffer.from(nameB));
}

function quoteMetadata(metadata: Readonly<Record<string, string>>, fail: Fail): string {
  const fields = Object.entries(metadata).map(([key, value]) => {
    if (typeof value !== "string")
      fail(`its metadata ${JSON.stringify(key)} is not a string; the format allows nothing else`);
    return `${quote(key, fail)}:${quote(value, fail)}`;
  });
  return `{${fields.join(",")}}`;
}

/** Half a surrogate pair has no bytes in UTF-8: readers of the file would refuse it. */
function quote(text: string, fail: Fail): string {
  if (/\p{Surrogate}/u.test(text)) fail(`${JSON.stringify(text)} is not well-formed text`);
  return JSON.stringify(text);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}
