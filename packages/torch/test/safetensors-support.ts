import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DType, ops, SafetensorsError, type Tensor, tensor, WriteError } from "@iqvae/torch";
import { afterEach, beforeEach, expect } from "vitest";

/** A folder of each test's own, and a file in it that is not there yet. */
export function temporaryFile(): { readonly folder: string; readonly path: string } {
  const file = { folder: "", path: "" };
  beforeEach(() => {
    file.folder = mkdtempSync(join(tmpdir(), "safetensors-"));
    file.path = join(file.folder, "file.safetensors");
  });
  afterEach(() => {
    rmSync(file.folder, { recursive: true });
  });
  return file;
}

export const DTYPES: readonly DType[] = [
  ..."float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split(" "),
] as DType[];

/** Writes a file from a header and the bytes after it. */
export function forge(
  path: string,
  header: string | object,
  data: Uint8Array = new Uint8Array(),
  length?: bigint,
): void {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const first = Buffer.alloc(8);
  first.writeBigUInt64LE(length ?? BigInt(text.length));
  writeFileSync(path, Buffer.concat([first, text, data]));
}

/** The error that `body` throws. */
export const failure = (body: () => unknown): SafetensorsError | WriteError => {
  try {
    body();
  } catch (error) {
    if (error instanceof SafetensorsError || error instanceof WriteError) return error;
    throw error;
  }
  return expect.fail("no error was thrown");
};

/** The content of goldens/reference.safetensors, as tools/golden_safetensors.py makes it. */
export const reference = (): Map<string, Tensor> => {
  const tensors = new Map(DTYPES.map((dtype) => [dtype as string, ops.aten.arange(6).reshape([2, 3]).to(dtype)]));
  return tensors
    .set('quote " slash \\ line \n é', tensor([1.5, -2.25]))
    .set("\u{1f600}", tensor([1]))
    .set("\uff5e", tensor([2]))
    .set("scalar", tensor(0.5))
    .set("empty", ops.aten.zeros([0, 3]))
    .set("odd", tensor([7], { dtype: "uint8" }));
};
