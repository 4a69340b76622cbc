import { z } from "zod";
import { IMAGE_SIZES, importSchema } from "../data/index.ts";
import { regularizerSchema } from "../regularizer/index.ts";
import { NOISE_DEFAULTS, RANDOM_DEFAULTS, SCHEDULED_DEFAULTS } from "../stage2/exposure-controls.ts";
import { GUMBEL_DEFAULTS } from "../stage2/gumbel.ts";
import { fastBfloat16 } from "../support/processor.ts";

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
    name: z.literal("heroes"),
    condition: z.enum(["keypoints", "semantic"]),
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

/** The patch discriminator of VQGAN (Esser et al. 2021); the defaults that are not theirs are for small pictures. */
const adversarial = z.strictObject({
  /** Scales the adaptive weight. */
  weight: weight.default(0.8),
  /** The share of the steps after which it begins. */
  startShare: share.default(0.5),
  rate: rate.default(2e-4),
  /** Channels of its first layer. */
  channels: positive.multipleOf(8).default(32),
  /** Layers that halve the picture. */
  layers: positive.max(5).default(2),
});

/** The network whose features the reconstruction is compared by. */
const perceptualNetwork = z.discriminatedUnion("kind", [
  /** Trained by the program on the attributes of the run's own data set. */
  z.strictObject({ kind: z.literal("attributes") }),
  /** LPIPS on VGG-16, from a safetensors file with the official weights. */
  z.strictObject({ kind: z.literal("vgg16-lpips"), path: z.string().min(1) }),
]);

/** A perceptual loss on the image's reconstructions (Zhang et al. 2018; VQGAN). */
const perceptual = z.strictObject({
  weight: weight.default(1),
  network: perceptualNetwork.default({ kind: "attributes" }),
});

const stage1 = z.strictObject({
  model: z.strictObject({ image: autoEncoder, condition: autoEncoder }),
  regularizer: regularizerSchema,
  /** Beside the mean absolute difference of pixels. */
  perceptual: perceptual.nullable().default(null),
  /** A patch discriminator against the image's reconstructions. */
  adversarial: adversarial.nullable().default(null),
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
    gradient: z.boolean().default(GUMBEL_DEFAULTS.gradient),
  }),
  z.strictObject({ kind: z.literal("random"), share: share.default(RANDOM_DEFAULTS.share) }),
  z.strictObject({
    kind: z.literal("scheduled"),
    every: positive.default(SCHEDULED_DEFAULTS.every),
    maxShare: share.default(SCHEDULED_DEFAULTS.maxShare),
    rampShare: share.gt(0).default(SCHEDULED_DEFAULTS.rampShare),
  }),
  z.strictObject({ kind: z.literal("noise"), maxShare: share.default(NOISE_DEFAULTS.maxShare) }),
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
  /** Share of the sequences that are learnt without their condition, so that samples can be guided; 0.1 is usual. */
  conditionDropout: z.number().min(0).lt(1).default(0),
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
