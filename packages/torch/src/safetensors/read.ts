import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { isSystemError, reasonOf } from "../files.ts";
import { ANYTHING, expectOptions } from "../given.ts";
import { noGrad } from "../modes.ts";
import { ops } from "../ops.ts";
import { scope } from "../scope.ts";
import { getDefaultDevice, type Tensor, tensor } from "../tensor.ts";
import {
  MOST_HEADER_BYTES,
  parseHeader,
  type SafetensorsEntry,
  SafetensorsError,
  type SafetensorsHeader,
} from "./header.ts";

export interface ReadOptions {
  /** Where the tensors are made; the default device when not given. */
  readonly device?: string;
  /** Which tensors are read; all when not given. */
  readonly names?: Iterable<string>;
}

/** Bytes in JavaScript's memory at a time; a tensor of any size passes through in pieces. */
export const PIECE_BYTES = 1 << 24;

/**
 * Reads the header of a safetensors file and checks it against the file, without reading any tensor.
 *
 * @throws SafetensorsError when the file is missing, truncated, forged, or something else.
 */
export function readSafetensorsHeader(path: string): SafetensorsHeader {
  return withFile(path, (file) => readHeader(path, file));
}

/**
 * Reads tensors from a safetensors file (https://github.com/huggingface/safetensors), one after the other. The header is
 * checked against the file before anything is allocated.
 *
 * @throws SafetensorsError when the file is missing, truncated, forged, something else, or lacks one of `names`, or when
 * one that is read has a dtype that libtorch lacks.
 */
export function readSafetensors(
  path: string,
  options: ReadOptions = {},
): { tensors: Map<string, Tensor>; metadata: Readonly<Record<string, string>> } {
  expectOptions("readSafetensors", options, { device: ANYTHING, names: ANYTHING });
  return withFile(path, (file) => {
    const header = readHeader(path, file);
    const names =
      options.names === undefined ? [...header.tensors.keys(), ...header.unsupported.keys()] : options.names;
    const wanted = [...new Set(names)].map((name) => [name, entryOf(path, header, name)] as const);
    const device = options.device ?? getDefaultDevice();
    const largest = wanted.reduce((most, [, { start, end }]) => Math.max(most, end - start), 0);
    const piece = new Uint8Array(Math.min(PIECE_BYTES, largest));
    const tensors = scope(
      () => new Map(wanted.map(([name, entry]) => [name, readTensor(path, file, header, entry, device, piece)])),
    );
    return { tensors, metadata: header.metadata };
  });
}

function entryOf(path: string, header: SafetensorsHeader, name: string): SafetensorsEntry {
  const entry = header.tensors.get(name);
  if (entry !== undefined) return entry;
  const format = header.unsupported.get(name);
  if (format !== undefined)
    throw new SafetensorsError(
      path,
      `its tensor ${JSON.stringify(name)} has the dtype ${format}, which cannot be read; convert it, or name the others by the option names`,
    );
  const there = [...header.tensors.keys(), ...header.unsupported.keys()];
  const list = there.length > 8 ? `${there.slice(0, 8).join(", ")}, … (${there.length})` : there.join(", ");
  throw new SafetensorsError(path, `it has no tensor ${JSON.stringify(name)}; it has ${list || "none at all"}`);
}

function readHeader(path: string, file: number): SafetensorsHeader {
  const fail = (reason: string): never => {
    throw new SafetensorsError(path, `this is not a usable safetensors file: ${reason}. Write it or fetch it again.`);
  };
  const stat = fstatSync(file);
  if (!stat.isFile()) fail("it is not a regular file");
  if (stat.size < 8) fail(`it has ${stat.size} bytes, fewer than the 8 with which the format starts`);
  const first = new Uint8Array(8);
  fill(path, file, first, 0);
  const length = new DataView(first.buffer).getBigUint64(0, true);
  if (length > BigInt(MOST_HEADER_BYTES))
    fail(`it announces a header of ${length} bytes; the format allows ${MOST_HEADER_BYTES}`);
  const dataStart = 8 + Number(length);
  if (dataStart > stat.size)
    fail(`it is truncated: it announces a header of ${length} bytes, but only ${stat.size - 8} follow`);
  const bytes = new Uint8Array(Number(length));
  fill(path, file, bytes, 8);
  let text = "";
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    fail("its header is not UTF-8");
  }
  return { ...parseHeader(text, stat.size - dataStart, fail), dataStart };
}

function readTensor(
  path: string,
  file: number,
  header: SafetensorsHeader,
  entry: SafetensorsEntry,
  device: string,
  piece: Uint8Array,
): Tensor {
  return noGrad(() =>
    scope(() => {
      // Bytes other than 0 and 1 are not booleans; they are made ones by a conversion.
      const dtype = entry.dtype === "bool" ? "uint8" : entry.dtype;
      const made = ops.aten.empty(entry.shape, { dtype, device: "cpu" });
      const bytes = made.reshape([-1]).view("uint8");
      const size = entry.end - entry.start;
      for (let position = 0; position < size; position += piece.length)
        scope(() => {
          const part = piece.subarray(0, Math.min(piece.length, size - position));
          fill(path, file, part, header.dataStart + entry.start + position);
          bytes.slice(0, position, position + part.length).copy_(tensor(part, { device: "cpu" }));
        });
      return made.to({ dtype: entry.dtype, device });
    }),
  );
}

/** Reads until `bytes` is full; a read may bring less than asked for. */
function fill(path: string, file: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    const count = readSync(file, bytes, done, bytes.length - done, position + done);
    if (count === 0) throw new SafetensorsError(path, "the file became shorter while it was read; read it again");
    done += count;
  }
}

function withFile<T>(path: string, body: (file: number) => T): T {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    return body(file);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new SafetensorsError(path, `cannot read it: ${reasonOf(error, path, "read")}`, { cause: error });
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
