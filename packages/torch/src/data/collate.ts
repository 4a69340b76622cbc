import type { TypedArray } from "../dtype.ts";
import { ops } from "../ops.ts";
import { isOptions } from "../resolve.ts";
import { Tensor, tensor } from "../tensor.ts";

/** What {@link defaultCollate} makes of samples of a type. */
export type Collated<T> = T extends Tensor | number | bigint | boolean | TypedArray
  ? Tensor
  : T extends string
    ? string[]
    : T extends readonly unknown[]
      ? { -readonly [K in keyof T]: Collated<T[K]> }
      : T extends object
        ? { [K in keyof T]: Collated<T[K]> }
        : never;

/**
 * Makes one batch of samples that are alike, as PyTorch's `default_collate`: tensors and typed arrays are stacked; numbers become a
 * float32 tensor, bigints an int64 one, booleans a bool one; text stays a list; arrays and objects are collated by place and name.
 *
 * @throws TypeError for samples of different kinds, and for what is none of these
 */
export function defaultCollate<T>(samples: readonly T[]): Collated<T> {
  return batchOf(samples, "a sample") as Collated<T>;
}

const kindOf = (value: unknown): string => {
  if (value instanceof Tensor) return "a tensor";
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (isOptions(value)) return `an object of ${Object.keys(value).sort().join(", ")}`;
  return value === null ? "null" : typeof value;
};

/** Arrays of 64 bits cut off what is more, without a word. */
function within64Bits(value: bigint): bigint {
  if (BigInt.asIntN(64, value) === value) return value;
  throw new RangeError(`defaultCollate: ${value} does not fit int64`);
}

function batchOf(samples: readonly unknown[], what: string): unknown {
  const [first] = samples;
  const kind = kindOf(first);
  const other = samples.find((sample) => kindOf(sample) !== kind);
  if (other !== undefined) throw new TypeError(`defaultCollate: ${what} is ${kind}, and another is ${kindOf(other)}`);
  if (first instanceof Tensor) return ops.aten.stack(samples as Tensor[]);
  if (ArrayBuffer.isView(first)) return ops.aten.stack(samples.map((sample) => tensor(sample as TypedArray)));
  if (Array.isArray(first))
    return first.map((_, i) =>
      batchOf(
        (samples as unknown[][]).map((sample) => sample[i]),
        `${what}[${i}]`,
      ),
    );
  if (isOptions(first))
    return Object.fromEntries(
      Object.keys(first).map((key) => [
        key,
        batchOf(
          (samples as Record<string, unknown>[]).map((sample) => sample[key]),
          `${what}.${key}`,
        ),
      ]),
    );
  switch (typeof first) {
    case "string":
      return [...samples];
    case "number":
      return tensor(Float32Array.from(samples as number[]));
    case "bigint":
      return tensor(BigInt64Array.from(samples as bigint[], within64Bits));
    case "boolean":
      return tensor(Uint8Array.from(samples as boolean[], Number), { dtype: "bool" });
  }
  throw new TypeError(`defaultCollate: ${what} is ${kind}, of which no batch can be made; give the loader a collateFn`);
}
