import type { ConfigInput } from "../config/schema.ts";

/** One way to train: what is left free is the same for all arms of an ablation. */
export interface Arm {
  /** For people, in tables. */
  readonly title: string;
  readonly regularizer: ConfigInput["stage1"]["regularizer"];
  readonly exposure: ConfigInput["stage2"]["exposure"];
  /** Entries of the image's codebook; `null`: as the regime has it. */
  readonly codes: number | null;
  /** Whether the image's decoder sees the condition's codes. */
  readonly coupled: boolean;
}

const NONE = { estimator: "none" } as const;
const PAIRED = { estimator: "paired", weight: 0.2 } as const;
const WITHIN = { ...PAIRED, gradient: "image", pairs: "image" } as const;
const TEACHER = { kind: "teacher" } as const;

const arm = (
  title: string,
  regularizer: Arm["regularizer"],
  exposure: Arm["exposure"] = TEACHER,
  tokenizer: Partial<Pick<Arm, "codes" | "coupled">> = {},
): Arm => ({ title, regularizer, exposure, codes: null, coupled: false, ...tokenizer });

/** Every arm by its name. Arms with equal tokenizers share one for each seed. */
export const ARMS = {
  none: arm("independent quantization (VQ-GAN)", NONE),
  paired: arm("regularizer as described: moves both encoders", PAIRED),
  sliced: arm("the same, sliced", { estimator: "sliced", weight: 0.2 }),
  image: arm("moves the image alone", { ...PAIRED, gradient: "image" }),
  within: arm("moves the image alone, pairs within an image", WITHIN),

  colors: arm("against the image's own colors, no condition", { estimator: "colors", weight: 0.2, pairs: "image" }),
  "codes-128": arm("independent, 128 codes", NONE, TEACHER, { codes: 128 }),
  prediction: arm("image predicted from the condition", { estimator: "prediction" }),

  coupled: arm("independent, the image's decoder sees the condition", NONE, TEACHER, { coupled: true }),
  "coupled-within": arm("pairs within an image, the decoder sees the condition", WITHIN, TEACHER, { coupled: true }),

  "none-gumbel": arm("independent, Gumbel sampling", NONE, { kind: "gumbel" }),
  "none-near": arm("independent, near codes", NONE, { kind: "near" }),
  "none-random": arm("independent, random codes", NONE, { kind: "random" }),
  "paired-gumbel": arm("regularizer as described, Gumbel sampling: the paper's method", PAIRED, { kind: "gumbel" }),
  "within-gumbel": arm("pairs within an image, Gumbel sampling", WITHIN, { kind: "gumbel" }),
  "within-near": arm("pairs within an image, near codes", WITHIN, { kind: "near" }),
  "within-random": arm("pairs within an image, random codes", WITHIN, { kind: "random" }),
} as const satisfies Record<string, Arm>;

export type ArmName = keyof typeof ARMS;
export const ARM_NAMES = Object.keys(ARMS) as ArmName[];

/** A question, and the arms that answer it; the first is what the others are compared with. */
export interface Comparison {
  readonly title: string;
  readonly arms: readonly [ArmName, ...ArmName[]];
}

/** The questions of an ablation by name. */
export const COMPARISONS = {
  main: { title: "Ways to integrate", arms: ["none", "paired", "image", "within"] },
  controls: {
    title: "Controls: without a condition, fewer codes, another estimator, prediction",
    arms: ["none", "paired", "sliced", "within", "colors", "codes-128", "prediction"],
  },
  coupling: {
    title: "The image's decoder sees the condition",
    arms: ["none", "within", "coupled", "coupled-within"],
  },
  exposures: {
    title: "What stage 2 is fed, independent quantization",
    arms: ["none", "none-gumbel", "none-near", "none-random"],
  },
  "exposures-within": {
    title: "What stage 2 is fed, pairs within an image",
    arms: ["within", "within-gumbel", "within-near", "within-random"],
  },
  method: { title: "The paper's method", arms: ["none", "paired", "paired-gumbel"] },
} as const satisfies Record<string, Comparison>;

export type ComparisonName = keyof typeof COMPARISONS;
export const COMPARISON_NAMES = Object.keys(COMPARISONS) as ComparisonName[];

/** The arms that names of comparisons and of arms stand for, each once, in the order of {@link ARMS}. */
export function armsOf(names: readonly (ArmName | ComparisonName)[]): ArmName[] {
  const chosen = new Set(names.flatMap((name) => (name in COMPARISONS ? armsIn(name as ComparisonName) : [name])));
  return ARM_NAMES.filter((name) => chosen.has(name));
}

function armsIn(name: ComparisonName): readonly string[] {
  return COMPARISONS[name].arms;
}
