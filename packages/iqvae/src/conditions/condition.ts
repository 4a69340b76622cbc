import type { Condition as PlainCondition } from "@iqvae/runtime";
import type { Tensor } from "@iqvae/torch";

/** Letters of shapes: `B` batch, `H W` pixels, `h w` grid of codes, `d` feature channels, `K` codes, `…` a sample's shape. */

/**
 * A kind of condition as {@link PlainCondition} has it, and how tensors of it enter and leave the network in training: the encoder sees planes,
 * the decoder gives logits.
 */
export interface Condition extends PlainCondition {
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
}
