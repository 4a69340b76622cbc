import { LARGEST } from "@iqvae/runtime";
import { z } from "zod";
import { ATTRIBUTE_SETS } from "../features/attribute-labels.ts";
import { regularizerSchema } from "../regularizer/index.ts";
import { positive, rate, share, warmup, weight } from "../support/schema.ts";

/** No larger than what is exported can be. */
const autoEncoder = z.strictObject({
  /** Channels at the finest level. */
  channels: positive.multipleOf(8).max(LARGEST.channels),
  /** Channels of each level as a multiple of `channels`; each level after the first halves the picture. */
  multipliers: z.array(positive.max(LARGEST.multiplier)).min(1).max(6),
  /** Residual blocks a level. */
  blocks: positive.max(LARGEST.blocks),
  /** Side of the square of pixels that enters as one position. */
  patch: z.literal([1, 2, 4]),
  /** Entries of the codebook. */
  codes: positive.min(2).max(LARGEST.codes),
  /** Dimensions of a code. */
  codeDim: positive.max(LARGEST.codeDim),
});

/** The patch discriminator of VQGAN (Esser et al. 2021); the defaults that are not theirs are for small pictures. */
const adversarial = z.strictObject({
  /** Scales the adaptive weight; VQGAN's 0.8. */
  weight: weight.default(0.8),
  /** The share of the steps after which it begins, both to learn and to be heard. */
  startShare: share.default(0.5),
  /** Peak learning rate of the discriminator. */
  rate: rate.default(2e-4),
  /** Channels of its first layer. */
  channels: positive.multipleOf(8).default(32),
  /** Layers that halve the picture. */
  layers: positive.max(5).default(2),
});

/** The network whose features the reconstruction is compared by. */
export const perceptualNetwork = z.discriminatedUnion("kind", [
  /** Trained by the program on the attributes of a built-in set; `null`: of the run's own. It can judge the run no more then. */
  z.strictObject({ kind: z.literal("attributes"), set: z.enum(ATTRIBUTE_SETS).nullable().default(null) }),
  /** The VGG-16 of HED, with all channels alike; fetched when it is first needed. */
  z.strictObject({ kind: z.literal("hed-vgg16") }),
  /** LPIPS on VGG-16, from a safetensors file with the official weights. */
  z.strictObject({ kind: z.literal("vgg16-lpips"), path: z.string().min(1) }),
]);

/** A perceptual loss on the image's reconstructions (Zhang et al. 2018; VQGAN). */
const perceptual = z.strictObject({
  weight: weight.default(1),
  network: perceptualNetwork.default({ kind: "attributes", set: null }),
});

/** All that decides how stage 1 is trained, except for the data and the precision. */
export const stage1Schema = z.strictObject({
  model: z.strictObject({
    image: autoEncoder,
    condition: autoEncoder,
    /** Whether the image's decoder sees the condition's codes as well (Alaniz et al. 2022). Both must lie on one grid. */
    coupled: z.boolean().default(false),
  }),
  /** With the estimator `none` the two halves are independent, as in VQ-GAN. */
  regularizer: regularizerSchema,
  /** Beside the mean absolute difference of pixels. */
  perceptual: perceptual.nullable().default(null),
  /** A patch discriminator against the image's reconstructions. */
  adversarial: adversarial.nullable().default(null),
  /**
   * The share of the steps after which encoders and codebooks stay as they are, and the decoders alone go on; 1: never. Tokens do
   * not change from then on.
   */
  polishFrom: z.number().min(0.25).max(1).default(1),
  steps: positive,
  batch: positive,
  rate,
  /** Steps over which the rate rises from zero. */
  warmup,
});

export type Stage1Config = z.output<typeof stage1Schema>;
export type AdversarialConfig = NonNullable<Stage1Config["adversarial"]>;
