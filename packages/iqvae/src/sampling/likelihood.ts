import type { Tensor } from "@iqvae/torch";
import { imageSurprise, type Transformer } from "../models/transformer.ts";
import { inPlainMode } from "../support/precision.ts";

/**
 * {@link imageSurprise} without gradients, in the precision of the weights.
 *
 * @param conditions int64 `[B, conditionTokens]`
 * @param images int64 `[B, imageTokens]`
 * @returns float32 `[B, imageTokens]`
 */
export function tokenSurprise(model: Transformer, conditions: Tensor, images: Tensor): Tensor {
  return inPlainMode(() => imageSurprise(model, conditions, images), conditions.device);
}

/** How likely the tokens of an image are. */
export interface Likelihood {
  /** Negative log-likelihood of the whole image in nats. */
  readonly nats: number;
  /** The same in bits. */
  readonly bits: number;
  /** Mean over the tokens, in bits. */
  readonly bitsPerToken: number;
  /** Nats of each token, in raster order. */
  readonly map: Float32Array;
}

/** @param surprise as {@link tokenSurprise} gives it */
export function likelihoods(surprise: Tensor): Likelihood[] {
  const [B, T] = surprise.shape as [number, number];
  const all = surprise.read("float32");
  return Array.from({ length: B }, (_, i) => {
    const map = all.slice(i * T, (i + 1) * T);
    const nats = map.reduce((sum, value) => sum + value, 0);
    const bits = nats / Math.LN2;
    return { nats, bits, bitsPerToken: bits / T, map };
  });
}
