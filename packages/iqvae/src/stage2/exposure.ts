import { noGrad, type Tensor } from "@iqvae/torch";
import type { Transformer } from "../models/transformer.ts";
import type { Exposure, GumbelExposure } from "./config.ts";
import { noiseRates, replaceNearby, replaceRandomly, replaceTokens, sampleTokens } from "./exposure-controls.ts";
import { mixSamples, shareAt, temperatureAt } from "./gumbel.ts";

/** A batch of stage 2, and the model that learns from it. */
export interface ExposureInput {
  readonly model: Transformer;
  /** Int64 `[B, conditionTokens]`. */
  readonly conditions: Tensor;
  /** The true image tokens but the last, int64 `[B, n]`. */
  readonly inputs: Tensor;
  /** Where the exposure is `near`, the logits of {@link nearCodes}, float32 `[imageCodes, imageCodes]`. */
  readonly near?: Tensor | undefined;
  /** Steps done before this one, and in all. */
  readonly step: number;
  readonly steps: number;
  /** Computes in the training's precision, e.g. under autocast. */
  readonly precisely: <T>(body: () => T) => T;
}

/**
 * The predictions that are trained: those of the true tokens, or of what stands in for them.
 *
 * Row `t` depends on what is fed before token `t`, never on the true tokens from `t` on.
 *
 * @returns logits `[B, n + 1, imageCodes]`
 */
export function exposedLogits(exposure: Exposure, input: ExposureInput): Tensor {
  const { step, steps, inputs } = input;
  switch (exposure.kind) {
    case "teacher":
      return predict(input, inputs);
    case "random":
      return predict(input, replaceRandomly(inputs, input.model.tokens.imageCodes, exposure.share));
    case "near":
      if (input.near === undefined) throw new Error("The exposure 'near' was given no logits of near codes.");
      return predict(input, replaceNearby(inputs, input.near, exposure.share));
    case "noise": {
      const rates = noiseRates(exposure, inputs, step, steps);
      return predict(input, replaceRandomly(inputs, input.model.tokens.imageCodes, rates));
    }
    case "scheduled": {
      if (!isDue(exposure, step)) return predict(input, inputs);
      const samples = sampleTokens(firstPass(input, false));
      return predict(input, replaceTokens(inputs, samples, shareAt(exposure, step, steps)).tokens);
    }
    case "gumbel":
      return isDue(exposure, step) ? gumbelLogits(exposure, input) : predict(input, inputs);
  }
}

/** Whether step `step` (from 0) is one on which samples are mixed in: steps `every − 1, 2·every − 1, …`. */
export function isDue(exposure: { readonly every: number }, step: number): boolean {
  return step % exposure.every === exposure.every - 1;
}

function predict({ model, conditions, precisely }: ExposureInput, inputs: Tensor): Tensor {
  return precisely(() => model.forward(conditions, inputs, { training: true }));
}

/** The predictions of the true inputs themselves, `[B, n, K]`. */
function firstPass(input: ExposureInput, gradient: boolean): Tensor {
  const logits = gradient ? predict(input, input.inputs) : noGrad(() => predict(input, input.inputs));
  return logits.slice(1, 0, input.inputs.shape[1]!);
}

function gumbelLogits(exposure: GumbelExposure, input: ExposureInput): Tensor {
  const { model, conditions, inputs, step, steps, precisely } = input;
  const logits = firstPass(input, exposure.gradient);
  return precisely(() => {
    const { embeddings } = mixSamples(logits, inputs, model.imageEmbedding.weight, {
      temperature: temperatureAt(exposure, step, steps),
      share: shareAt(exposure, step, steps),
      power: exposure.reliabilityPower,
      above: exposure.reliabilityAbove,
    });
    return model.forwardEmbedded(conditions, embeddings, { training: true });
  });
}
