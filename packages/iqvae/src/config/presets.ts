import { paperPresets } from "./paper.ts";
import type { ConfigInput } from "./schema.ts";

/**
 * What came out of the ablations: images follow their conditions better than with independent quantization or with the regularizer as
 * the paper describes it, and take fewer bits. With it go decoders that see the condition, wherever it lies on the image's grid: they
 * make up for what it costs in reconstructions, and samples follow their conditions better still.
 */
const WITHIN = { estimator: "paired", weight: 0.2, gradient: "image", pairs: "image" } as const;

/** Faces from semantic maps at 32 pixels: minutes on two cores. */
const start: ConfigInput = {
  name: "start",
  seed: 1,
  data: { name: "faces", condition: "semantic", size: 32, count: 12_000 },
  stage1: {
    model: {
      image: { channels: 64, multipliers: [1, 2], blocks: 1, patch: 2, codes: 1024, codeDim: 16 },
      condition: { channels: 32, multipliers: [1, 2], blocks: 1, patch: 2, codes: 512, codeDim: 16 },
      coupled: true,
    },
    regularizer: WITHIN,
    steps: 1500,
    batch: 32,
    rate: 1e-3,
    warmup: 50,
  },
  stage2: {
    model: { layers: 4, width: 192, heads: 6, dropout: 0 },
    exposure: { kind: "teacher" },
    steps: 700,
    batch: 32,
    accumulate: 1,
    rate: 4e-3,
    warmup: 100,
  },
  precision: "auto",
  logEvery: 20,
  evaluateEvery: 500,
  checkpointEvery: 500,
  sampleEvery: 500,
};

/** What the presets at 64 pixels share: an hour of two cores at most; those that were tried took one thread 20 to 40 minutes. */
const hour = {
  ...start,
  stage1: {
    ...start.stage1,
    model: {
      image: { channels: 64, multipliers: [1, 2, 2], blocks: 1, patch: 2, codes: 1024, codeDim: 16 },
      condition: { channels: 32, multipliers: [1, 2, 2], blocks: 1, patch: 2, codes: 512, codeDim: 16 },
      coupled: true,
    },
    steps: 5000,
    batch: 16,
    warmup: 100,
  },
  stage2: {
    ...start.stage2,
    model: { layers: 6, width: 192, heads: 6, dropout: 0.1 },
    steps: 3000,
    rate: 2e-3,
    warmup: 200,
  },
  logEvery: 50,
  evaluateEvery: 500,
  checkpointEvery: 500,
  sampleEvery: 1000,
} satisfies ConfigInput;

/** For models that people draw for: with exact maps and lines alone, what they paint and sketch is drawn with blotches. */
const byHand = { ...hour.stage2, handDrawn: 0.3 };

/** Faces from semantic maps. */
const faces: ConfigInput = {
  ...hour,
  name: "faces",
  data: { name: "faces", condition: "semantic", size: 64, count: 16_000 },
  stage2: byHand,
};

/** Faces from line drawings. */
const facesLines: ConfigInput = {
  ...hour,
  name: "faces-lines",
  data: { name: "faces", condition: "lines", size: 64, count: 16_000 },
  stage2: byHand,
};

/** Emoji of five vendors from their edges. There are 5,500 pairs in training, which are soon known by heart. */
const emoji: ConfigInput = {
  ...hour,
  name: "emoji",
  data: { name: "emoji", condition: "edges", size: 64 },
  stage1: { ...hour.stage1, steps: 4000 },
  stage2: { ...hour.stage2, steps: 2000 },
};

const keypoints = {
  ...hour,
  stage1: {
    ...hour.stage1,
    model: { ...hour.stage1.model, condition: { ...hour.stage1.model.condition, codes: 1024 } },
  },
} satisfies Partial<ConfigInput>;

/** Hands from key points. */
const hands: ConfigInput = {
  ...keypoints,
  name: "hands",
  data: { name: "hands", condition: "keypoints", size: 64, count: 16_000 },
  // A point in a hundred more is met than with 1; with less, images are farther from true ones.
  sampling: { temperature: 0.8 },
};

/** Heroes of a game from key points. */
const heroes: ConfigInput = {
  ...keypoints,
  name: "heroes",
  data: { name: "heroes", condition: "keypoints", size: 64, count: 16_000 },
};

/** 256 tokens, one for 4 × 4 pixels, where 64 lose what is small: two hours of two cores. */
const fine = {
  ...hour,
  stage1: {
    ...hour.stage1,
    model: {
      ...hour.stage1.model,
      image: { ...hour.stage1.model.image, multipliers: [1, 2] },
      condition: { ...hour.stage1.model.condition, multipliers: [1, 2] },
    },
  },
  stage2: { ...hour.stage2, batch: 16 },
} satisfies Partial<ConfigInput>;

/** Fruit and flowers of five vendors, each in its box. */
const scenes: ConfigInput = {
  ...fine,
  name: "scenes",
  data: { name: "scenes", condition: "layout", size: 64, count: 16_000 },
  sampling: { temperature: 0.85 },
};

/** A word says less of a picture than a map does, and guidance makes more of it. */
const guidable = { ...hour.stage2, conditionDropout: 0.1 };

/** Emoji of five vendors from what they are called. */
const words: ConfigInput = {
  ...hour,
  name: "words",
  data: { name: "words", condition: "text", size: 64 },
  stage1: {
    ...hour.stage1,
    model: {
      ...hour.stage1.model,
      // A code for each letter: of two letters together, a word has two spellings, by where it begins.
      condition: { channels: 64, multipliers: [1], blocks: 1, patch: 1, codes: 512, codeDim: 16 },
      coupled: false,
    },
    regularizer: { estimator: "sliced", weight: 0.2 },
    steps: 3500,
  },
  stage2: guidable,
  // With 1.5, of the vendors that draw a thing some are forgotten.
  sampling: { guidance: 1.25 },
};

/** Emoji of five vendors from their spoken names. */
const speech: ConfigInput = {
  ...hour,
  name: "speech",
  data: { name: "speech", condition: "audio", size: 64 },
  stage1: {
    ...hour.stage1,
    // Of 16 tokens an image, each says more of which drawing it is: with 64, too little of the loss was about what is heard.
    model: {
      ...hour.stage1.model,
      image: { ...hour.stage1.model.image, multipliers: [1, 2, 2, 2] },
      coupled: false,
    },
    regularizer: { estimator: "sliced", weight: 0.2 },
    steps: 3500,
  },
  stage2: { ...guidable, model: { ...hour.stage2.model, dropout: 0 }, steps: 6000, rate: 4e-3 },
  // With 2, images are farther from true ones and found by their sound less often.
  sampling: { guidance: 1.5 },
};

/** The Earth from its land cover. */
const earth: ConfigInput = {
  ...fine,
  name: "earth",
  data: { name: "earth", condition: "semantic", size: 64 },
};

/** Photographs of 128 pixels, 256 tokens each: for a GPU, or a day of two cores. */
const large = {
  ...hour,
  stage1: { ...hour.stage1, perceptual: { weight: 0.1, network: { kind: "hed-vgg16" } } },
  stage2: { ...hour.stage2, model: { layers: 6, width: 256, heads: 8, dropout: 0.1 }, rate: 1.5e-3 },
} satisfies Partial<ConfigInput>;

/** The Earth again. */
const earth128: ConfigInput = {
  ...large,
  name: "earth-128",
  data: { name: "earth", condition: "semantic", size: 128 },
};

/** Cut-outs of photographs on photographs, each in its box. */
const stamps128: ConfigInput = {
  ...large,
  name: "stamps-128",
  data: { name: "stamps", condition: "layout", size: 128, count: 16_000 },
};

/** The same at 32 pixels, in less time. */
const earth32: ConfigInput = {
  ...start,
  name: "earth-32",
  data: { name: "earth", condition: "semantic", size: 32 },
  stage1: { ...start.stage1, steps: 3000 },
  // There are few places on Earth, which are soon known by heart.
  stage2: { ...start.stage2, model: { ...start.stage2.model, dropout: 0.1 }, steps: 2000, rate: 2e-3, warmup: 200 },
};

/** Everything at its smallest, over in seconds: for tests and for trying things out. */
const tiny: ConfigInput = {
  name: "tiny",
  seed: 1,
  data: { name: "faces", condition: "semantic", size: 32, count: 160 },
  stage1: {
    model: {
      image: { channels: 16, multipliers: [1, 2], blocks: 1, patch: 4, codes: 32, codeDim: 8 },
      condition: { channels: 16, multipliers: [1, 2], blocks: 1, patch: 4, codes: 32, codeDim: 8 },
    },
    regularizer: { estimator: "paired", weight: 0.2 },
    steps: 30,
    batch: 8,
    rate: 2e-3,
    warmup: 5,
  },
  stage2: {
    model: { layers: 2, width: 32, heads: 4, dropout: 0.1 },
    exposure: { kind: "gumbel" },
    steps: 30,
    batch: 8,
    accumulate: 1,
    rate: 2e-3,
    warmup: 5,
  },
  precision: "float32",
  logEvery: 5,
  evaluateEvery: 10,
  checkpointEvery: 10,
  sampleEvery: 15,
};

/** The configurations that come with the program, by name. */
export const presets = {
  start,
  faces,
  "faces-lines": facesLines,
  emoji,
  hands,
  heroes,
  scenes,
  words,
  speech,
  earth,
  "earth-128": earth128,
  "earth-32": earth32,
  "stamps-128": stamps128,
  tiny,
  ...paperPresets,
} satisfies Record<string, ConfigInput>;

export type PresetName = keyof typeof presets;
export const PRESET_NAMES = Object.keys(presets) as PresetName[];

export function isPreset(name: string): name is PresetName {
  return Object.hasOwn(presets, name);
}
