import type { ConfigInput } from "../config/schema.ts";

/** One way to train: what is left free is the same for all arms of an ablation. */
export interface Arm {
  /** For people, in tables. */
  readonly title: string;
  readonly regularizer: ConfigInput["stage1"]["regularizer"];
  readonly exposure: ConfigInput["stage2"]["exposure"];
  /** Pixels a side for each code. */
  readonly reduction: 4 | 8 | 16;
}

const NONE = { estimator: "none" } as const;
/** 512 places of a batch, as the published runs were made. */
const PAIRED = { estimator: "paired", weight: 0.2, samples: 512 } as const;
const TEACHER = { kind: "teacher" } as const;
/** With the gradient through pass one, as the published runs were made. */
const GUMBEL = { kind: "gumbel", gradient: true } as const;

const arm = (
  title: string,
  regularizer: Arm["regularizer"],
  exposure: Arm["exposure"],
  reduction: Arm["reduction"] = 4,
): Arm => ({ title, regularizer, exposure, reduction });

/** Every arm by its name. Arms with equal regularizer and reduction share a tokenizer. */
export const ARMS = {
  baseline: arm("independent quantization, teacher forcing (VQ-GAN)", NONE, TEACHER),
  regularizer: arm("+ variational regularizer", PAIRED, TEACHER),
  "regularizer-gumbel": arm("+ regularizer + Gumbel sampling", PAIRED, GUMBEL),
  gumbel: arm("+ Gumbel sampling alone", NONE, GUMBEL),

  "moves-condition": arm("regularizer moves the condition alone", { ...PAIRED, gradient: "condition" }, TEACHER),
  "moves-image": arm("regularizer moves the image alone", { ...PAIRED, gradient: "image" }, TEACHER),
  "moves-condition-gumbel": arm(
    "regularizer moves the condition alone + Gumbel sampling",
    { ...PAIRED, gradient: "condition" },
    GUMBEL,
  ),
  "moves-image-gumbel": arm(
    "regularizer moves the image alone + Gumbel sampling",
    { ...PAIRED, gradient: "image" },
    GUMBEL,
  ),

  "gumbel-detached": arm("Gumbel sampling, no gradient through pass one", PAIRED, { ...GUMBEL, gradient: false }),
  random: arm("random replacement", PAIRED, { kind: "random" }),
  scheduled: arm("scheduled sampling, hard samples", PAIRED, { kind: "scheduled" }),
  noise: arm("noisy context", PAIRED, { kind: "noise" }),

  sliced: arm("sliced estimator", { estimator: "sliced", weight: 0.2 }, TEACHER),
  entropic: arm("entropic estimator", { estimator: "entropic", weight: 0.2 }, TEACHER),

  "weight-0.05": arm("weight 0.05", { ...PAIRED, weight: 0.05 }, TEACHER),
  "weight-1": arm("weight 1", { ...PAIRED, weight: 1 }, TEACHER),

  f8: arm("8-fold reduction", PAIRED, GUMBEL, 8),
  f16: arm("16-fold reduction", PAIRED, GUMBEL, 16),
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
  main: {
    title: "Regularizer and Gumbel sampling",
    arms: ["baseline", "regularizer", "regularizer-gumbel", "gumbel"],
  },
  sides: {
    title: "Which encoder the regularizer moves",
    arms: ["baseline", "regularizer", "moves-condition", "moves-image", "moves-condition-gumbel", "moves-image-gumbel"],
  },
  controls: {
    title: "Gumbel sampling and its controls, all with the regularizer",
    arms: ["regularizer", "regularizer-gumbel", "gumbel-detached", "random", "scheduled", "noise"],
  },
  estimators: {
    title: "Estimators of the regularizer, teacher forcing",
    arms: ["baseline", "regularizer", "sliced", "entropic"],
  },
  weights: {
    title: "Weights of the paired regularizer (0.2 above), teacher forcing",
    arms: ["baseline", "weight-0.05", "regularizer", "weight-1"],
  },
  reductions: { title: "Reductions, full method (f4 first)", arms: ["regularizer-gumbel", "f8", "f16"] },
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
