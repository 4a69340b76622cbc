import { type Config, ConfigError, type ConfigInput, parseConfig, withSettings } from "../config/index.ts";
import { ARMS, type ArmName } from "./arms.ts";

/**
 * What is shared by all arms: data, sizes, budgets. Both tasks with the four main arms and three seeds, which are 12 trainings
 * of stage 1 and 24 of stage 2, are meant to fit into an hour of two cores: about 0.15 s a step of stage 1 and 0.25 s of stage 2
 * on one thread.
 */
const COMMON: Omit<ConfigInput, "data" | "name"> = {
  seed: 1,
  stage1: {
    model: {
      image: { channels: 48, multipliers: [1, 2], blocks: 1, patch: 2, codes: 512, codeDim: 16 },
      condition: { channels: 24, multipliers: [1, 2], blocks: 1, patch: 2, codes: 256, codeDim: 16 },
    },
    regularizer: { estimator: "none" },
    steps: 1000,
    batch: 32,
    rate: 1e-3,
    warmup: 50,
  },
  stage2: {
    model: { layers: 4, width: 128, heads: 4, dropout: 0.1 },
    exposure: { kind: "teacher" },
    steps: 600,
    batch: 32,
    accumulate: 1,
    rate: 1.5e-3,
    warmup: 100,
    emaDecay: 0.99,
  },
  precision: "auto",
  logEvery: 20,
  evaluateEvery: 250,
  checkpointEvery: 250,
  sampleEvery: 1000,
};

/** Data sets and conditions to ask the questions on. */
export const TASKS = {
  "faces-semantic": { name: "faces", condition: "semantic", size: 32, count: 12_000 },
  "emoji-edges": { name: "emoji", condition: "edges", size: 32 },
} as const satisfies Record<string, ConfigInput["data"]>;

export type TaskName = keyof typeof TASKS;
export const TASK_NAMES = Object.keys(TASKS) as TaskName[];

/** How much each arm is trained, and with what else than the defaults. */
export interface Budget {
  readonly steps1?: number | undefined;
  readonly steps2?: number | undefined;
  /** Values for all arms, as `stage2.model.width=192`. */
  readonly set?: readonly string[] | undefined;
}

/**
 * The configuration of one run of an ablation.
 *
 * @throws ConfigError when the budget's settings do not fit
 */
export function configFor(task: TaskName, name: ArmName, seed: number, budget: Budget): Config {
  const base = shared(task, budget);
  const { regularizer, exposure, reduction } = ARMS[name];
  const levels = Math.log2(reduction / base.stage1.model.image.patch) + 1;
  const half = <T extends { readonly multipliers: readonly number[] }>(part: T) => ({
    ...part,
    multipliers: Array.from({ length: levels }, (_, level) => (level === 0 ? 1 : 2)),
  });
  const { image, condition } = base.stage1.model;
  return parseConfig(
    {
      ...base,
      name: `${task}-${name}-seed${seed}`,
      seed,
      stage1: { ...base.stage1, model: { image: half(image), condition: half(condition) }, regularizer },
      stage2: { ...base.stage2, exposure },
    },
    `of arm ${name}`,
  );
}

function shared(task: TaskName, { steps1, steps2, set = [] }: Budget): Config {
  const decided = set.find((setting) => DECIDED.some((key) => setting.startsWith(key)));
  if (decided !== undefined) {
    throw new ConfigError(`--set ${decided}: the arms of the ablation decide that; choose among them with --arms.`);
  }
  const settings = [
    ...(steps1 === undefined ? [] : [`stage1.steps=${steps1}`]),
    ...(steps2 === undefined ? [] : [`stage2.steps=${steps2}`]),
    ...set,
  ];
  return withSettings({ ...COMMON, name: task, data: TASKS[task] }, settings, task);
}

/** What arms and seeds are about. */
const DECIDED = [
  "name",
  "seed",
  "stage1.regularizer",
  "stage1.model.image.mult",
  "stage1.model.condition.mult",
  "stage2.exposure",
];

/** What two runs must have in common for one tokenizer to serve both. */
export function tokenizerKey({ seed, data, precision, stage1 }: Config): string {
  return JSON.stringify({ seed, data, precision, stage1 });
}
