import { z } from "zod";
import { IMAGE_SIZES, importSchema } from "../data/index.ts";
import { regularizerSchema } from "../regularizer/index.ts";
import { GUMBEL_DEFAULTS } from "../training/gumbel.ts";
import { fastBfloat16 } from "./processor.ts";

const positive = z.int().min(1);
const weight = z.number().min(0);
const share = z.number().min(0).max(1);
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
  z.strictObject({
    name: z.literal("hands"),
    condition: z.literal("keypoints"),
    size: z.literal([...IMAGE_SIZES]),
    count: positive.max(10_000_000).default(12_000),
  }),
  z.strictObject({
    name: z.literal("scenes"),
    condition: z.literal("layout"),
    size: z.literal([...IMAGE_SIZES]),
    count: positive.max(10_000_000).default(12_000),
  }),
  z.strictObject({
    name: z.literal("words"),
    condition: z.literal("text"),
    size: z.literal([...IMAGE_SIZES]),
    /** The most pairs, spread over all that there are. */
    count: positive.max(10_000_000).default(10_000_000),
  }),
  z.strictObject({
    name: z.literal("speech"),
    condition: z.literal("audio"),
    size: z.literal([...IMAGE_SIZES]),
    count: positive.max(10_000_000).default(10_000_000),
  }),
  ...importSchema.options,
]);

const autoEncoder = z.strictObject({
  /** Channels at the finest level. */
  channels: positive.multipleOf(8),
  /** Channels of each level as a multiple of `channels`; each level after the first halves the picture. */
  multipliers: z.array(positive).min(1).max(6),
  /** Residual blocks a level. */
  blocks: positive,
  /** Side of the square of pixels that enters as one position. */
  patch: z.literal([1, 2, 4]),
  /** Entries of the codebook. */
  codes: positive.min(2),
  /** Dimensions of a code. */
  codeDim: positive,
});

const stage1 = z.strictObject({
  model: z.strictObject({ image: autoEncoder, condition: autoEncoder }),
  regularizer: regularizerSchema,
  steps: positive,
  batch: positive,
  rate,
  /** Steps over which the rate rises from zero. */
  warmup: z.int().min(0),
});

const exposure = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("teacher") }),
  z.strictObject({
    kind: z.literal("gumbel"),
    every: positive.default(GUMBEL_DEFAULTS.every),
    temperature: z.strictObject({ from: z.number().gt(0), to: z.number().gt(0) }).default(GUMBEL_DEFAULTS.temperature),
    maxShare: share.default(GUMBEL_DEFAULTS.maxShare),
    rampShare: share.gt(0).default(GUMBEL_DEFAULTS.rampShare),
    reliabilityPower: weight.default(GUMBEL_DEFAULTS.reliabilityPower),
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
  exposure,
  steps: positive,
  /** Sequences of one pass. */
  batch: positive,
  /** Passes whose gradients make one step. */
  accumulate: positive,
  rate,
  warmup: z.int().min(0),
  weightDecay: weight.default(0.05),
  /** Decay of the averaged weights, which are sampled from. */
  emaDecay: z.number().min(0).lt(1).default(0.999),
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
