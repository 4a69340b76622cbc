import { LARGEST } from "@iqvae/runtime";
import { z } from "zod";
import type { TransformerConfig } from "../models/transformer.ts";
import { positive, rate, scale, share, warmup, weight } from "../support/schema.ts";

/**
 * What the transformer is fed in training (docs/method.md, Gumbel sampling and its controls). Defaults are our choices where
 * the papers' are not known.
 */
export const exposureSchema = z.discriminatedUnion("kind", [
  /** The true tokens. */
  z.strictObject({ kind: z.literal("teacher") }),
  /** On every `every`-th step some true image tokens give way to soft samples of the model's own prediction, as reliability says. */
  z.strictObject({
    kind: z.literal("gumbel"),
    /** The paper's 4: samples are mixed in on steps `every − 1, 2·every − 1, …`. */
    every: positive.default(4),
    /** The softmax's temperature τ, from its value at the first step to that at the last, geometrically. */
    temperature: z.strictObject({ from: scale, to: scale }).default({ from: 1, to: 0.5 }),
    /** The share of tokens that may be replaced grows linearly from 0 at the first step to this when `rampShare` of all steps are done. */
    maxShare: share.default(0.5),
    rampShare: share.gt(0).default(0.5),
    /** How strictly reliability decides: 0 treats all tokens alike, 1 is proportional, more is stricter. */
    reliabilityPower: weight.default(1),
    /** Tokens whose reliability is not above this are never replaced. With 0.5 and power 0, all others alike are. */
    reliabilityAbove: share.default(0),
    /** Whether the loss of pass two reaches pass one through the samples. It costs a backward pass more. */
    gradient: z.boolean().default(false),
  }),
  /** Codes drawn evenly stand in; taming-transformers' `pkeep` is `1 − share` (Esser et al. 2021). */
  z.strictObject({
    kind: z.literal("random"),
    /** The probability with which a token is replaced, at every step. */
    share: share.default(0.1),
  }),
  /** Codes that are near in the image's codebook stand in: the picture stays about the same, and so does what is to follow. */
  z.strictObject({
    kind: z.literal("near"),
    /** The probability with which a token is replaced, at every step. */
    share: share.default(0.2),
    /** Of the softmax of cosines that the other code is drawn from. */
    temperature: scale.default(0.05),
  }),
  /**
   * Scheduled sampling for transformers, by two passes and with hard samples (Mihaylova & Martins 2019, "Scheduled Sampling for
   * Transformers"); no gradient goes through the samples.
   */
  z.strictObject({
    kind: z.literal("scheduled"),
    /** On steps `every − 1, 2·every − 1, …`; the paper in question has 1. */
    every: positive.default(4),
    /** The probability with which a token is replaced grows linearly from 0 to this when `rampShare` of all steps are done. */
    maxShare: share.default(0.25),
    rampShare: share.gt(0).default(0.5),
  }),
  /** Noisy context: codes drawn evenly, at a rate of each sequence's own, after reAR (He et al. 2026). */
  z.strictObject({
    kind: z.literal("noise"),
    /** Rates of sequences lie evenly between 0 and a bound that falls linearly from this to 0 at the last step. */
    maxShare: share.default(0.5),
  }),
]);

export type Exposure = z.output<typeof exposureSchema>;
type ExposureOf<Kind extends Exposure["kind"]> = Extract<Exposure, { kind: Kind }>;
export type GumbelExposure = ExposureOf<"gumbel">;
export type ScheduledExposure = ExposureOf<"scheduled">;
export type NearExposure = ExposureOf<"near">;
export type NoiseExposure = ExposureOf<"noise">;

/** All that decides how stage 2 is trained, except for the tokens and the precision. */
export const stage2Schema = z.strictObject({
  model: z.strictObject({
    layers: positive.max(LARGEST.layers),
    width: positive.max(LARGEST.width),
    heads: positive.max(LARGEST.heads),
    dropout: z.number().min(0).lt(1),
  }),
  exposure: exposureSchema,
  /** The number of steps that the schedules are laid out for. */
  steps: positive,
  /** The most training pairs to learn from, spread over all that there are; `null`: all. Stage 1 sees all in any case. */
  pairs: positive.nullable().default(null),
  /**
   * Share of the training pairs whose maps, or lines, are seen as a hand would draw them, for models that people draw for. Stage 1
   * sees none.
   */
  handDrawn: share.default(0),
  /** Sequences of one pass. */
  batch: positive,
  /** Passes whose gradients make one step. */
  accumulate: positive,
  /** Peak learning rate. */
  rate,
  /** Steps over which the rate rises from zero. */
  warmup,
  /**
   * Share of the sequences that are learned without their condition, so that samples can be guided (Ho & Salimans 2022); 0.1 is
   * usual.
   */
  conditionDropout: z.number().min(0).lt(1).default(0),
  /** Decoupled decay of matrices; biases and gains are left alone. */
  weightDecay: weight.default(0.05),
  /** Decay of the averaged weights, which are evaluated and sampled from. */
  emaDecay: z.number().min(0).lt(1).default(0.999),
});

export type Stage2Config = z.output<typeof stage2Schema>;

/** A transformer that learns some sequences without their condition has a token that says so. */
export function transformerConfig({
  model,
  conditionDropout,
}: Pick<Stage2Config, "model" | "conditionDropout">): TransformerConfig {
  return conditionDropout > 0 ? { ...model, unconditional: true } : model;
}
