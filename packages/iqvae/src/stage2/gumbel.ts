import { linearRamp, noGrad, ops, type Tensor } from "@iqvae/torch";
import { toGumbel_ } from "../support/gumbel.ts";
import type { GumbelExposure } from "./config.ts";

/** τ at a step: `from·(to/from)^(step/total)`. */
export function temperatureAt(exposure: Pick<GumbelExposure, "temperature">, step: number, total: number): number {
  const { from, to } = exposure.temperature;
  return from * (to / from) ** Math.min(1, step / total);
}

/** The largest probability with which a token is replaced at a step. */
export function shareAt(exposure: Pick<GumbelExposure, "maxShare" | "rampShare">, step: number, total: number): number {
  return linearRamp({ step, over: exposure.rampShare * total, from: 0, to: exposure.maxShare });
}

/** Standard Gumbel noise in the shape of `logits`, float32, from the default generator. */
export function gumbelNoise(logits: Tensor): Tensor {
  return noGrad(() => toGumbel_(ops.aten.empty_like(logits, { dtype: "float32" }).exponential_()));
}

/**
 * The Gumbel-softmax `y = softmax((ℓ + g)/τ)` over the last dimension (Jang et al. 2017, eq. 2; Maddison et al. 2017): its
 * largest entry falls on `k` with probability `softmax(ℓ)[k]`, and it passes a gradient to `ℓ`.
 */
export function gumbelSoftmax(logits: Tensor, noise: Tensor, temperature: number): Tensor {
  return logits.to("float32").add(noise).div(temperature).softmax(-1);
}

/**
 * How far a prediction can be relied on: the probability `r = softmax(ℓ)[x]` that it gives to the true token.
 *
 * @param logits `[…, K]`
 * @param targets int64 `[…]`
 * @returns `[…]` without gradient
 */
export function reliability(logits: Tensor, targets: Tensor): Tensor {
  return noGrad(() => logits.detach().to("float32").softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1));
}

/**
 * The probability with which each token is replaced, `π = s·rᵖ·[r > a]`.
 *
 * Our own formula, since the paper's is not known: it follows the reliability `r` of the prediction, so that a sample stands
 * in where it is probably right; it never exceeds the share `s`, which grows as training goes on, and so does `r`; `p = 0`
 * makes it the random replacement that it is compared with. `a = ½` and `p = 0` replace all reliable tokens alike, and many more.
 */
export function replacementProbability(r: Tensor, share: number, power: number, above: number): Tensor {
  return r.pow(power).mul(share).mul(r.gt(above));
}

/**
 * Replaces some embeddings of true tokens by embeddings of samples.
 *
 * @param logits the predictions of the inputs, `[B, n, K]`; a gradient flows through the samples into them
 * @param targets the true inputs, int64 `[B, n]`
 * @param weight the image tokens' embedding table `W`, `[K, C]`
 * @returns `embeddings [B, n, C]`: `W[x]` or `Σ_k y[k]·W[k]`; `replaced`, bool `[B, n]`, true where it is a sample
 */
export function mixSamples(
  logits: Tensor,
  targets: Tensor,
  weight: Tensor,
  options: { temperature: number; share: number; power: number; above: number },
): { embeddings: Tensor; replaced: Tensor } {
  const y = gumbelSoftmax(logits, gumbelNoise(logits), options.temperature); // [B, n, K]
  const sampled = y.matmul(weight).to("float32"); // [B, n, C]
  const replaced = noGrad(() => {
    const probability = replacementProbability(
      reliability(logits, targets),
      options.share,
      options.power,
      options.above,
    );
    return ops.aten.bernoulli(probability).to("bool"); // [B, n]
  });
  const embeddings = ops.aten.where(replaced.unsqueeze(-1), sampled, ops.aten.embedding(weight, targets));
  return { embeddings, replaced };
}
