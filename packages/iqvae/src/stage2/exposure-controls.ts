import { noGrad, ops, type Tensor } from "@iqvae/torch";
import { gumbelNoise } from "./gumbel.ts";

/** Random replacement: taming-transformers' `pkeep` is `1 − share` (Esser et al. 2021). */
export interface RandomExposure {
  readonly kind: "random";
  /** The probability with which a token is replaced, at every step. */
  readonly share: number;
}

/**
 * Scheduled sampling for transformers, by two passes and with hard samples (Mihaylova & Martins 2019, "Scheduled Sampling for
 * Transformers"); no gradient goes through the samples.
 */
export interface ScheduledExposure {
  readonly kind: "scheduled";
  /** On steps `every − 1, 2·every − 1, …`; the paper in question has 1. */
  readonly every: number;
  /** The probability with which a token is replaced grows linearly from 0 to this when `rampShare` of all steps are done. */
  readonly maxShare: number;
  readonly rampShare: number;
}

/** Noisy context: codes drawn evenly, at a rate of each sequence's own, after reAR (He et al. 2026). */
export interface NoiseExposure {
  readonly kind: "noise";
  /** Rates of sequences lie evenly between 0 and a bound that falls linearly from this to 0 at the last step. */
  readonly maxShare: number;
}

/** Our choices. */
export const RANDOM_DEFAULTS = { share: 0.1 };
export const SCHEDULED_DEFAULTS = { every: 4, maxShare: 0.25, rampShare: 0.5 };
export const NOISE_DEFAULTS = { maxShare: 0.5 };

/**
 * Replaces each token with probability `share`, whatever it is.
 *
 * @param tokens int64 `[B, n]`
 * @param others what stands in, int64 `[B, n]`
 * @param share one probability, or one a sequence, `[B, 1]`
 * @returns `tokens`, and where they were replaced, bool `[B, n]`
 */
export function replaceTokens(
  tokens: Tensor,
  others: Tensor,
  share: number | Tensor,
): { tokens: Tensor; replaced: Tensor } {
  const drawn = ops.aten.rand(tokens.shape, { device: tokens.device });
  const replaced = typeof share === "number" ? drawn.lt(share) : drawn.lt(share);
  return { tokens: ops.aten.where(replaced, others, tokens), replaced };
}

/** Replaces tokens by codes drawn evenly from `0 … codes − 1`, which may be the true ones again. */
export function replaceRandomly(tokens: Tensor, codes: number, share: number | Tensor): Tensor {
  return replaceTokens(tokens, ops.aten.randint_like(tokens, codes), share).tokens;
}

/** A code for each position, drawn from its prediction: logits `[B, n, K]` → int64 `[B, n]`, without a gradient. */
export function sampleTokens(logits: Tensor): Tensor {
  return noGrad(() => logits.detach().to("float32").add(gumbelNoise(logits)).argmax(-1));
}

/** The rate of each sequence of `tokens` `[B, n]` at a step, `[B, 1]`. */
export function noiseRates(exposure: NoiseExposure, tokens: Tensor, step: number, total: number): Tensor {
  const bound = exposure.maxShare * Math.max(0, 1 - step / total);
  return ops.aten.rand([tokens.shape[0]!, 1], { device: tokens.device }).mul(bound);
}
