import type { SampleOptions } from "@iqvae/runtime";
import type { Tensor } from "@iqvae/torch";

/** A second condition for each, int64 `[N, conditionTokens]`, and how much of it: 0 none, 1 nothing else. */
export interface Blend {
  readonly conditions: Tensor;
  readonly share: number;
}

/** What only those can say who have tokens at hand. */
export interface TokenSampleOptions extends SampleOptions {
  /** Logits on the way from one condition to another, `(1 − share)·a + share·b` [O]. Default: none. */
  readonly blend?: Blend;
  /** Tokens that are given, int64 `[N, imageTokens]`: a code where it is, −1 where one is to be drawn. Default: none is. */
  readonly fixed?: Tensor;
}

/** Draws image tokens for conditions. */
export interface TokenSampler {
  /**
   * @param conditions int64 `[N, conditionTokens]`
   * @returns int64 `[N, samples, imageTokens]`. A row depends on the seed, its condition and the number of the sample, not on
   *   what is drawn beside it (up to ties within the rounding of the weights' dtype).
   * @throws RangeError for options or tokens out of range
   */
  sample(conditions: Tensor, options?: TokenSampleOptions): Tensor;
}

/** Numbers of tokens of what is drawn; a window that slides reads more of them than the model does at once. */
export interface SequenceShape {
  readonly conditionTokens: number;
  readonly imageTokens: number;
}
