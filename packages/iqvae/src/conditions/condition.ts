import type { Tensor } from "@iqvae/torch";
import type { ConditionKind } from "./spec.ts";

/** Letters of shapes: `B` batch, `H W` pixels, `h w` grid of codes, `d` feature channels, `K` codes, `…` a sample's shape. */

/**
 * How one kind of condition enters and leaves the network, and what people see of it. A sample is bytes of a fixed shape
 * `[…]`; the encoder sees planes, the decoder gives logits.
 */
export interface Condition {
  readonly kind: ConditionKind;
  /** The shape of a sample's bytes. */
  readonly shape: readonly number[];
  /** Height and width of planes and logits; height 1 says that the condition is a sequence. */
  readonly planes: readonly [height: number, width: number];
  /** Channels of what the encoder sees. */
  readonly inputChannels: number;
  /** Channels of the decoder's logits. */
  readonly outputChannels: number;
  /** Samples uint8 `[B, …]` → planes float32 `[B, inputChannels, H, W]`, `channels_last`. */
  toPlanes(samples: Tensor): Tensor;
  /** Samples uint8 `[B, …]` → the logits float32 `[B, outputChannels, H, W]` of a decoder that knows them for sure. */
  toLogits(samples: Tensor): Tensor;
  /** Mean reconstruction loss of logits `[B, outputChannels, H, W]` against samples uint8 `[B, …]`. */
  loss(logits: Tensor, samples: Tensor): Tensor;
  /** The most likely samples, uint8 `[B, …]`. */
  fromLogits(logits: Tensor): Tensor;
  /**
   * @param sample bytes `[…]`
   * @throws RangeError that says which byte means nothing, and what would
   */
  check(sample: Uint8Array): void;
  /**
   * A picture for people.
   *
   * @returns RGB bytes `[side, side, 3]`
   * @throws RangeError as {@link check}
   */
  draw(sample: Uint8Array, side: number): Uint8Array;
  /** In words and numbers, on one line. */
  describe(sample: Uint8Array): string;
  /** How well `guess` agrees with `truth`, by name; every figure in [0, 1], 1 for equal samples. */
  fidelity(truth: Uint8Array, guess: Uint8Array): Readonly<Record<string, number>>;
}
