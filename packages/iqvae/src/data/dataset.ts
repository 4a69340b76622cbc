import type { ConditionSpec } from "../conditions/spec.ts";
import { amount } from "../support/amount.ts";
import type { PairFacts } from "./facts.ts";
import type { ImportReport } from "./import/problems.ts";
import type { License } from "./licenses.ts";

export type { ConditionSpec, Rgb, SemanticClass } from "../conditions/spec.ts";

/** Side of the square images, in pixels. */
export const IMAGE_SIZES = [32, 64, 128, 256] as const;
export type ImageSize = (typeof IMAGE_SIZES)[number];

/** `B` pairs of an image and its condition. */
export interface PairBatch {
  /** `[B, H, W, 3]` RGB, 0 … 255. */
  readonly images: Uint8Array;
  /** `[B, …]`, each of the shape and meaning that {@link ConditionSpec} gives. */
  readonly conditions: Uint8Array;
}

/** One part of a data set: pairs by number. */
export interface PairSplit {
  readonly length: number;
  /** A name for each pair, unique in the data set and equal wherever the same pair comes up. */
  readonly ids: readonly string[];
  /**
   * Reads pairs from the cache file; the caller owns the arrays.
   *
   * @param indices numbers in `0 … length − 1`, in any order, repeats allowed
   * @throws RangeError for a number outside
   */
  batch(indices: ArrayLike<number>): PairBatch;
}

/** Pairs of image and condition, in two parts that share nothing. */
export interface PairDataset {
  readonly name: string;
  /** All that decides its bytes and its split: data sets of equal keys are equal. */
  readonly key: string;
  readonly size: ImageSize;
  readonly condition: ConditionSpec;
  readonly train: PairSplit;
  /** Held out from training: see `heldOutPart` for what they are for. */
  readonly validation: PairSplit;
  readonly facts?: PairFacts;
  readonly licenses: readonly License[];
  /** Of an import: what was read, and what was left out and why. */
  readonly report?: ImportReport;
  /** Closes the cache file; twice is as good as once. No batch can be read afterward. */
  close(): void;
}

/** @throws Error for a data set with nothing to train on, or nothing held out to tell how it goes */
export function expectBothParts({ name, train, validation }: PairDataset): void {
  if (train.length > 0 && validation.length > 0) return;
  throw new Error(
    `${name} has ${amount(train.length, "pair")} to train on and ${validation.length} held out, but 1 of each is the least, and more are ` +
      "better. Raise data.count.",
  );
}
