import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { noGrad } from "../modes.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor.ts";
import { explainSystemError, isSystemError } from "./failures.ts";
import { buildHeader, SafetensorsError } from "./header.ts";
import { PIECE_BYTES } from "./read.ts";

/**
 * Writes tensors to a safetensors file, laid out byte for byte as the reference implementation does. The file is written
 * aside (`PATH.….part`), flushed to the disk and renamed: at `path` there is always the whole old file or the whole new one.
 *
 * @param tensors of any device and strides, by name.
 * @throws SafetensorsError when the format lacks a dtype or the file cannot be written; nothing is left behind then.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const described = new Map([...tensors].map(([name, { dtype, shape }]) => [name, { dtype, shape }]));
  const { bytes, entries } = buildHeader(described, metadata, (reason): never => {
    throw new SafetensorsError(path, `cannot write it: ${reason}`);
  });
  replaceFile(path, (file) => {
    writeAll(file, bytes);
    for (const name of entries.keys()) writeTensor(file, tensors.get(name)!);
  });
}

function writeTensor(file: number, tensor: Tensor): void {
  noGrad(() =>
    scope(() => {
      const bytes = tensor.detach().to({ device: "cpu" }).contiguous().reshape([-1]).view("uint8");
      const size = bytes.numel;
      for (let position = 0; position < size; position += PIECE_BYTES)
        scope(() => {
          const part = bytes.slice(0, position, Math.min(position + PIECE_BYTES, size));
          writeAll(file, part.read("uint8"));
        });
    }),
  );
}

/** Writes all of `bytes`; the system may take less than asked for. */
function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done);
}

function replaceFile(path: string, write: (file: number) => void): void {
  const aside = `${path}.${randomBytes(4).toString("hex")}.part`;
  let file: number | undefined;
  try {
    file = openSync(aside, "wx");
    write(file);
    fsyncSync(file);
    const written = file;
    file = undefined;
    closeSync(written);
    renameSync(aside, path);
  } catch (error) {
    if (file !== undefined) closeSync(file);
    rmSync(aside, { force: true });
    if (isSystemError(error)) throw explainSystemError(path, "write", error);
    throw error;
  }
  flushFolder(dirname(path));
}

/** Makes the new name itself safe against a power cut, where the system lets folders be opened. */
function flushFolder(folder: string): void {
  let file: number | undefined;
  try {
    file = openSync(folder, "r");
    fsyncSync(file);
  } catch {
    // Windows and some network file systems refuse; the file is whole either way.
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
