import { FileReplacement } from "../files.ts";
import { expectMap } from "../given.ts";
import { noGrad } from "../modes.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor.ts";
import { buildHeader, SafetensorsError } from "./header.ts";
import { PIECE_BYTES } from "./read.ts";

/**
 * Writes tensors to a safetensors file, laid out byte for byte as the reference implementation does. At `path` there is always
 * the whole old file or the whole new one, as {@link replaceFile} has it.
 *
 * @param tensors of any device and strides, by name.
 * @throws SafetensorsError when the format lacks a dtype, WriteError when the file cannot be written; nothing is left behind then.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  expectMap("writeSafetensors", tensors);
  const described = new Map([...tensors].map(([name, { dtype, shape }]) => [name, { dtype, shape }]));
  const { bytes, entries } = buildHeader(described, metadata, (reason): never => {
    throw new SafetensorsError(path, `cannot write it: ${reason}`);
  });
  const file = new FileReplacement(path);
  try {
    file.write(bytes);
    for (const name of entries.keys()) writeTensor(file, tensors.get(name)!);
    file.commit();
  } finally {
    file.discard();
  }
}

function writeTensor(file: FileReplacement, tensor: Tensor): void {
  noGrad(() =>
    scope(() => {
      const bytes = tensor.detach().to({ device: "cpu" }).contiguous().reshape([-1]).view("uint8");
      const size = bytes.numel();
      for (let position = 0; position < size; position += PIECE_BYTES)
        scope(() => {
          const part = bytes.slice(0, position, Math.min(position + PIECE_BYTES, size));
          file.write(part.read("uint8"));
        });
    }),
  );
}
