import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { noGrad, readSafetensors, readSafetensorsHeader, scope, type Tensor, unscoped } from "@iqvae/torch";

/** Fixed weights of a network by name, and what they are known by. */
export interface FixedWeights {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Hexadecimal SHA-256 of the file. */
  readonly digest: string;
}

/**
 * Reads the weights that a network needs from a safetensors file; what else is in the file is left out.
 *
 * @param shapes every tensor that is needed
 * @returns float32, without gradients; they outlive every scope
 * @throws Error naming every missing and misshapen tensor and how to make such a file
 */
export async function readWeights(
  path: string,
  shapes: ReadonlyMap<string, readonly number[]>,
  network: string,
): Promise<FixedWeights> {
  const header = readSafetensorsHeader(path);
  const problems = [...shapes].flatMap(([name, shape]) => {
    const entry = header.tensors.get(name);
    if (entry === undefined) return [`'${name}' is missing`];
    const same = entry.shape.join() === shape.join();
    return same ? [] : [`'${name}' has shape [${entry.shape.join(", ")}] instead of [${shape.join(", ")}]`];
  });
  if (problems.length > 0) {
    const more = problems.length > 4 ? `; and ${problems.length - 4} more` : "";
    throw new Error(
      `${path} does not hold the weights of ${network}: ${problems.slice(0, 4).join("; ")}${more}. ` +
        `Make the file with: python3 tools/convert-weights.py ${network}`,
    );
  }
  const { tensors, metadata } = unscoped(() =>
    scope(() => {
      const read = readSafetensors(path, { names: shapes.keys() });
      return { ...read, tensors: noGrad(() => new Map([...read.tensors].map(([name, x]) => [name, fixed(x)]))) };
    }),
  );
  return { tensors, metadata, digest: await fileDigest(path) };
}

/** Kernels of convolutions lie in `channels_last`, which keeps the layout of images fast. */
function fixed(x: Tensor): Tensor {
  const floats = x.to("float32");
  return floats.ndim === 4 ? floats.contiguous({ memory_format: "channels_last" }) : floats;
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  return hash.digest("hex");
}

/**
 * A convolution with the batch normalization that follows it folded in: at rest the latter is a scale and a shift of each channel.
 *
 * @param kernel the name of the convolution's kernel
 * @param norm what the names of the normalization's four tensors begin with, as PyTorch names them
 */
export function foldBatchNorm(
  tensors: ReadonlyMap<string, Tensor>,
  kernel: string,
  norm: string,
  eps: number,
): { weight: Tensor; bias: Tensor } {
  const part = (name: string) => tensors.get(name)!.to("float64");
  const scale = part(`${norm}.weight`).div(part(`${norm}.running_var`).add(eps).sqrt());
  const weight = part(kernel)
    .mul(scale.reshape([-1, 1, 1, 1]))
    .to("float32");
  const bias = part(`${norm}.bias`)
    .sub(part(`${norm}.running_mean`).mul(scale))
    .to("float32");
  return { weight: weight.contiguous({ memory_format: "channels_last" }), bias };
}
