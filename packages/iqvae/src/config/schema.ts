import { z } from "zod";
import { IMAGE_SIZES } from "../data/index.ts";
import { fastBfloat16 } from "./processor.ts";

const positive = z.int().min(1);
const weight = z.number().min(0);
const rate = z.number().gt(0).max(1);

const data = z.discriminatedUnion("name", [
  z.strictObject({
    name: z.literal("faces"),
    condition: z.enum(["semantic", "lines"]),
    size: z.literal([...IMAGE_SIZES]),
    /** Faces to draw, both parts together. */
    count: positive.max(10_000_000).default(12_000),
  }),
  z.strictObject({
    name: z.literal("emoji"),
    condition: z.literal("edges"),
    size: z.literal([...IMAGE_SIZES]),
  }),
]);

const autoEncoder = z.strictObject({
  /** Channels at the finest level. */
  channels: positive.multipleOf(8),
  /** Channels of each level as a multiple of `channels`; each level after the first halves the picture. */
  multipliers: z.array(positive).min(1).max(6),
  /** Residual blocks a level. */
  blocks: positive,
  /** Side of the square of pixels that enters as one position. */
  patch: z.literal([1, 2, 4, 8]),
  /** Entries of the codebook. */
  codes: positive.min(2),
  /** Dimensions of a code. */
  codeDim: positive,
});

const regularizer = z.discriminatedUnion("estimator", [
  z.strictObject({ estimator: z.literal("none") }),
  z.strictObject({ estimator: z.literal("paired"), weight: weight.default(0.2) }),
  z.strictObject({
    estimator: z.literal("sliced"),
    weight: weight.default(0.2),
    /** Random directions onto which both domains are projected. */
    directions: positive.default(50),
  }),
  z.strictObject({
    estimator: z.literal("entropic"),
    weight: weight.default(0.2),
    /** Strength of the entropy term. */
    epsilon: z.number().gt(0).default(0.05),
    /** Steps of projected gradient. */
    iterations: positive.default(20),
  }),
]);

const stage1 = z.strictObject({
  model: z.strictObject({ image: autoEncoder, condition: autoEncoder }),
  regularizer,
  steps: positive,
  batch: positive,
  rate,
  /** Steps over which the rate rises from zero. */
  warmup: z.int().min(0),
});

const feeding = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("teacher") }),
  z.strictObject({
    kind: z.literal("gumbel"),
    /** Two passes once in so many steps. */
    every: positive.default(4),
    /** τ of the Gumbel softmax. */
    temperature: z.number().gt(0).default(1),
    /** Share of the tokens that samples replace at the end of the training; it grows from zero. */
    share: z.number().min(0).max(1).default(0.5),
  }),
]);

const stage2 = z.strictObject({
  model: z.strictObject({
    layers: positive,
    width: positive,
    heads: positive,
    dropout: z.number().min(0).lt(1),
  }),
  /** What the transformer is fed in training: true tokens, or at times its own samples. */
  feeding,
  steps: positive,
  /** Sequences of one pass. */
  batch: positive,
  /** Passes whose gradients make one step. */
  accumulate: positive,
  rate,
  warmup: z.int().min(0),
});

/** All that a run is made from. Parsing fills in defaults, so that what is stored has every value. */
export const configSchema = z.strictObject({
  name: z.string().regex(/^[\w.-]+$/, "must be made of letters, digits, '.', '_' and '-'"),
  seed: z.int().min(0),
  data,
  stage1,
  stage2,
  /** Of matrix products and convolutions; weights are float32. `auto` takes bfloat16 where it is the faster one. */
  precision: z
    .enum(["auto", "bfloat16", "float32"])
    .transform((precision) => (precision === "auto" ? (fastBfloat16() ? "bfloat16" : "float32") : precision)),
  /** Steps between lines of the log, held-out figures, checkpoints and pictures. */
  logEvery: positive,
  evaluateEvery: positive,
  checkpointEvery: positive,
  sampleEvery: positive,
});

/** A configuration as people write it: what has a default may be left out. */
export type ConfigInput = z.input<typeof configSchema>;
/** A configuration with every value. */
export type Config = z.output<typeof configSchema>;
export type AutoEncoderConfig = Config["stage1"]["model"]["image"];

/** By how much an auto-encoder reduces each side of the picture. */
export function reduction({ patch, multipliers }: Pick<AutoEncoderConfig, "patch" | "multipliers">): number {
  return patch * 2 ** (multipliers.length - 1);
}
