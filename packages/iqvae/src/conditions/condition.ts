import type { Tensor } from "@iqvae/torch";

/** Letters of shapes: `B` batch, `H W` pixels, `h w` grid of codes, `d` feature channels, `K` codes. */

/**
 * How one kind of condition enters and leaves the network. A raster arrives as bytes `[B, H, W]`; the encoder sees planes,
 * the decoder gives logits.
 */
export interface Condition {
  readonly kind: string;
  /** Channels of what the encoder sees. */
  readonly inputChannels: number;
  /** Channels of the decoder's logits. */
  readonly outputChannels: number;
  /** Raster uint8 `[B, H, W]` → planes `[B, inputChannels, H, W]`, `channels_last`. */
  toPlanes(raster: Tensor): Tensor;
  /** Mean reconstruction loss of logits `[B, outputChannels, H, W]` against the raster, in nats a pixel. */
  loss(logits: Tensor, raster: Tensor): Tensor;
  /** The most likely raster, uint8 `[B, H, W]`. */
  fromLogits(logits: Tensor): Tensor;
}
