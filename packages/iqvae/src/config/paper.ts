import type { VqConfig } from "../models/iqvae.ts";
import type { Planned, PlannedCondition } from "../plan/planned.ts";
import { estimatorSchema } from "../regularizer/index.ts";
import { exposureSchema } from "../stage2/config.ts";

/**
 * Trainings at the paper's scale, to plan with: 256 pixels a side, 16-fold reduction [S], and where the paper's sizes are not
 * known, those of taming-transformers [L Esser et al. 2021]: 128 channels, 1,024 codes of 256 dimensions, 24 layers of 1,024
 * features and 16 heads, LPIPS on VGG-16 and a discriminator that sees patches of 70 pixels. Data sets and the weights of
 * VGG-16 are brought by users; what a preset says of its data is a description.
 */
const F16: VqConfig = {
  channels: 128,
  multipliers: [1, 1, 2, 2, 4],
  blocks: 2,
  patch: 1,
  codes: 1024,
  codeDim: 256,
};

/** The discriminator of taming-transformers. When it joins is ours [O]. */
const ADVERSARIAL = { weight: 0.8, startShare: 0.5, rate: 2e-4, channels: 64, layers: 3 };

function atPaperScale(name: string, data: string, condition: PlannedCondition): Planned {
  return {
    name,
    data,
    size: 256,
    image: F16,
    condition,
    perceptual: "vgg16-lpips",
    adversarial: ADVERSARIAL,
    regularizer: condition.kind === "planes" ? estimatorSchema.parse({ estimator: "sliced" }) : { estimator: "none" },
    stage1Batch: 16,
    transformer: { layers: 24, width: 1024, heads: 16, dropout: 0 },
    exposure: exposureSchema.parse({ kind: "gumbel" }),
    stage2Batch: 32,
    accumulate: 1,
    precision: "bfloat16",
  };
}

function planes(inputs: number, outputs = inputs): PlannedCondition {
  return { kind: "planes", size: [256, 256], inputs, outputs, model: F16 };
}

/** By name. Word and box sequences are taken as they are; their number of tokens is ours [O]. */
export const PAPER_PRESETS = {
  "paper-ade20k": atPaperScale("paper-ade20k", "ADE20K, semantic maps of 150 classes and the unlabeled", planes(151)),
  "paper-celeba-hq": atPaperScale("paper-celeba-hq", "CelebA-HQ, edges", planes(1)),
  "paper-deepfashion": atPaperScale("paper-deepfashion", "DeepFashion in-shop, heat maps of 18 key points", planes(18)),
  "paper-coco-stuff": atPaperScale("paper-coco-stuff", "COCO-Stuff, layouts of up to 30 boxes, 5 tokens each", {
    kind: "tokens",
    count: 150,
    codes: 1024,
  }),
  "paper-cub": atPaperScale("paper-cub", "CUB-200-2011, captions of up to 64 word pieces", {
    kind: "tokens",
    count: 64,
    codes: 8192,
  }),
  "paper-sub-urmp": atPaperScale("paper-sub-urmp", "Sub-URMP, log-mel spectrograms of 256 × 256", planes(1)),
} as const satisfies Readonly<Record<string, Planned>>;

export const PAPER_PRESET_NAMES = Object.keys(PAPER_PRESETS) as (keyof typeof PAPER_PRESETS)[];
