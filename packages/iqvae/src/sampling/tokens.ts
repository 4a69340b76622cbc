import type { TokenSampleOptions as PlainOptions } from "@iqvae/runtime";
import { type Tensor, tensor } from "@iqvae/torch";
import type { SequenceShape, TokenSampleOptions } from "./options.ts";

/** Whole numbers as int64, one after the other, or in a shape. */
export function integers(
  values: ArrayLike<number>,
  device: string,
  shape: readonly number[] = [values.length],
): Tensor {
  return tensor(Int32Array.from(values), { shape, device }).to("int64");
}

/** @throws RangeError when conditions are not int64 `[N, conditionTokens]` */
export function readConditions(conditions: Tensor, { conditionTokens }: SequenceShape): Int32Array[] {
  if (conditions.ndim === 2 && conditions.shape[1] === conditionTokens && conditions.dtype === "int64")
    return rowsOf(conditions);
  throw new RangeError(
    `sample() takes conditions as int64 [N, ${conditionTokens}] for this model, but got ${conditions}; flatten the grid of condition tokens: indices.flatten(1)`,
  );
}

/** The options with tokens as plain numbers. */
export function plainOptions(
  { blend, fixed, ...options }: TokenSampleOptions,
  shape: SequenceShape,
  conditions: number,
): PlainOptions {
  return {
    ...options,
    ...(blend && { blend: { share: blend.share, conditions: readConditions(blend.conditions, shape) } }),
    ...(fixed && { fixed: readFixed(fixed, [conditions, shape.imageTokens]) }),
  };
}

function readFixed(fixed: Tensor, shape: readonly [number, number]): Int32Array[] {
  if (fixed.shape.join() === shape.join() && fixed.dtype === "int64") return rowsOf(fixed);
  throw new RangeError(
    `fixed must be int64 [${shape.join(", ")}] here, a token or −1 for each place of each condition's image, but got ${fixed}`,
  );
}

function rowsOf(tokens: Tensor): Int32Array[] {
  const [rows, columns] = tokens.shape as [number, number];
  const all = Int32Array.from(tokens.contiguous().read("int64"), Number);
  return Array.from({ length: rows }, (_, i) => all.subarray(i * columns, (i + 1) * columns));
}
