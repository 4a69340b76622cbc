import { noGrad, ops, type Tensor } from "@iqvae/torch";
import type { NoiseExposure } from "./config.ts";
import { gumbelNoise } from "./gumbel.ts";

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

/**
 * Which code stands in for each: logits of a distribution, the cosine of the two over the temperature, −∞ for the code itself.
 *
 * @param codebook unit codes `[K, d]`, at least two
 * @returns float32 `[K, K]`
 */
export function nearCodes(codebook: Tensor, temperature: number): Tensor {
  return noGrad(() => {
    const codes = codebook.detach().to("float32");
    const itself = ops.aten.eye(codes.shape[0]!, { device: codes.device }).to("bool");
    return codes.matmul(codes.t()).div(temperature).masked_fill(itself, -Infinity);
  });
}

/**
 * Replaces tokens by codes near to them.
 *
 * @param near as {@link nearCodes} gives it
 */
export function replaceNearby(tokens: Tensor, near: Tensor, share: number): Tensor {
  const others = sampleTokens(near.index_select(0, tokens.flatten())).reshape(tokens.shape);
  return replaceTokens(tokens, others, share).tokens;
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
