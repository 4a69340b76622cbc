import type { ConfigInput } from "./schema.ts";

/** Stands where a user has to name a file or folder of their own. */
export const BRING_YOUR_OWN = "(yours)";

/**
 * Trainings at the paper's scale: 256 pixels a side, 16-fold reduction [S], and where the paper's sizes are not known, those of
 * taming-transformers [L Esser et al. 2021]: 128 channels, 1,024 codes of 256 dimensions, 24 layers of 1,024 features and 16
 * heads, LPIPS on VGG-16 and a discriminator that sees patches of 70 pixels. When it joins, steps and rates are ours [O], and
 * none of these has been trained.
 */
const F16 = { channels: 128, multipliers: [1, 1, 2, 2, 4], blocks: 2, patch: 1, codes: 1024, codeDim: 256 } as const;

type Data = ConfigInput["data"];
type AutoEncoder = ConfigInput["stage1"]["model"]["condition"];

function atPaperScale(name: string, data: Data, condition: Partial<AutoEncoder> = {}): ConfigInput {
  const image: AutoEncoder = { ...F16, multipliers: [...F16.multipliers] };
  return {
    name,
    seed: 1,
    data,
    stage1: {
      model: { image, condition: { ...image, ...condition } },
      regularizer: { estimator: "sliced", weight: 0.2 },
      perceptual: { network: { kind: "vgg16-lpips", path: BRING_YOUR_OWN } },
      adversarial: { channels: 64, layers: 3 },
      steps: 500_000,
      batch: 16,
      rate: 1e-4,
      warmup: 1000,
    },
    stage2: {
      model: { layers: 24, width: 1024, heads: 16, dropout: 0 },
      exposure: { kind: "gumbel" },
      steps: 300_000,
      batch: 32,
      accumulate: 1,
      rate: 1e-4,
      warmup: 1000,
    },
    precision: "bfloat16",
    logEvery: 100,
    evaluateEvery: 5000,
    checkpointEvery: 5000,
    sampleEvery: 10_000,
  };
}

const yours = { path: BRING_YOUR_OWN, size: 256 } as const;

/** By name. Every set is read by its importer, from a folder that the user names. */
export const paperPresets = {
  "paper-ade20k": atPaperScale("paper-ade20k", { name: "ade20k", ...yours }),
  /** Edges of the pictures of CelebA-HQ, in whatever folders they lie. */
  "paper-celeba-hq": atPaperScale("paper-celeba-hq", { name: "images", ...yours }),
  "paper-deepfashion": atPaperScale("paper-deepfashion", { name: "deepfashion", ...yours }),
  "paper-coco-stuff": atPaperScale("paper-coco-stuff", { name: "coco-stuff", ...yours }),
  /** 192 bytes of a caption become 48 tokens. */
  "paper-cub": atPaperScale("paper-cub", { name: "cub-200-2011", ...yours }, { multipliers: [1, 2, 4] }),
  /** 32 bands by 32 frames become 8 × 8 tokens. */
  "paper-sub-urmp": atPaperScale("paper-sub-urmp", { name: "sub-urmp", ...yours }, { multipliers: [1, 2, 4] }),
} satisfies Record<string, ConfigInput>;
