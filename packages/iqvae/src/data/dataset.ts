import type { Licence } from "./licences.ts";

/** A colour for people: red, green, blue in 0 … 255. */
export type Rgb = readonly [number, number, number];

/** One class of a semantic map and the colour that shows it. */
export interface SemanticClass {
  readonly name: string;
  readonly color: Rgb;
}

/** What a condition raster holds: class numbers, or 0 and 1 (line). */
export type ConditionSpec =
  | { readonly kind: "semantic"; readonly classes: readonly SemanticClass[] }
  | { readonly kind: "lines" }
  | { readonly kind: "edges" };

/** Side of the square images, in pixels. */
export const IMAGE_SIZES = [32, 64, 128] as const;
export type ImageSize = (typeof IMAGE_SIZES)[number];

/** `B` pairs of an image and its condition, aligned pixel by pixel. */
export interface PairBatch {
  /** `[B, H, W, 3]` RGB, 0 … 255. */
  readonly images: Uint8Array;
  /** `[B, H, W]`: see {@link ConditionSpec}. */
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
  readonly size: ImageSize;
  readonly condition: ConditionSpec;
  readonly train: PairSplit;
  readonly validation: PairSplit;
  readonly licences: readonly Licence[];
  /** Closes the cache file. No batch can be read afterwards. */
  close(): void;
}
