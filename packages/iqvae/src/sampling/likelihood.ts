import { ops, type Tensor } from "@iqvae/torch";
import type { Transformer } from "../models/transformer.ts";
import { inPlainMode } from "./sampler.ts";

/**
 * How surprising each token of given images is under their conditions: `−log p(x_t | c, x_<t)` in nats, under teacher
 * forcing. The sum over a row is the negative log-likelihood of the image's tokens.
 *
 * @param conditions int64 `[B, conditionTokens]`
 * @param images int64 `[B, imageTokens]`
 * @returns float32 `[B, imageTokens]`
 */
export function tokenSurprise(model: Transformer, conditions: Tensor, images: Tensor): Tensor {
  return inPlainMode(conditions.device, () => {
    const inputs = images.slice(1, 0, images.shape[1]! - 1);
    const logits = model.forward(conditions, inputs).to("float32"); // [B, T, K]
    return ops.aten.log_softmax(logits, -1).gather(-1, images.unsqueeze(-1)).squeeze(-1).neg();
  });
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
