import { type Config, ConfigError, type ConfigInput, parseConfig, withSettings } from "../config/index.ts";
import type { JudgeName } from "../metrics/judges.ts";
import { ARMS, type ArmName } from "./arms.ts";

type Shared = Omit<ConfigInput, "data" | "name">;

const CORE = {
  seed: 1,
  stage1: {
    model: {
      image: { channels: 48, multipliers: [1, 2], blocks: 1, patch: 2, codes: 512, codeDim: 16 },
      condition: { channels: 24, multipliers: [1, 2], blocks: 1, patch: 2, codes: 256, codeDim: 16 },
    },
    regularizer: { estimator: "none" },
    steps: 4000,
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
  evaluateEvery: 150,
  checkpointEvery: 150,
  sampleEvery: 1000,
  keepAt: [150, 300, 600],
} satisfies Shared;

const { image, condition } = CORE.stage1.model;

/** A size of models and a length of trainings, the same for all arms. Runs are scored after the steps to keep. */
interface Regime {
  readonly config: Shared;
  /** Whether stage 1 has a perceptual term, by a network that does not judge. */
  readonly perceptual: boolean;
}

/** In both, stage 2 is so short that it limits what is drawn, as long as stage 1's share of the excess is small. */
export const REGIMES = {
  /** The small one: about seven minutes of a core for each run. */
  cut: {
    config: {
      ...CORE,
      stage1: {
        ...CORE.stage1,
        model: { image: { ...image, channels: 32 }, condition: { ...condition, channels: 16 } },
        steps: 1500,
        batch: 16,
      },
      stage2: { ...CORE.stage2, model: { ...CORE.stage2.model, layers: 3, width: 96 }, steps: 800, batch: 16 },
      evaluateEvery: 200,
      checkpointEvery: 200,
      keepAt: [200, 400, 800],
    },
    perceptual: false,
  },
  core: { config: CORE, perceptual: true },
  /** Stage 2 sees a thousand pairs again and again, as with a photographic set of the paper's size, and may learn them by heart. */
  few: {
    config: { ...CORE, stage2: { ...CORE.stage2, pairs: 1000, steps: 1500 }, keepAt: [300, 750, 1500] },
    perceptual: true,
  },
} as const satisfies Record<string, Regime>;

export type RegimeName = keyof typeof REGIMES;
export const REGIME_NAMES = Object.keys(REGIMES) as RegimeName[];

/** A data set and condition to ask the questions on. */
interface Task {
  readonly data: ConfigInput["data"];
  /** What the perceptual term takes. Of attributes those of another set than the data, so that the own ones can judge. */
  readonly loss: NonNullable<ConfigInput["stage1"]["perceptual"]>["network"];
  /** Who looks at samples, since no loss has seen it. */
  readonly judge: JudgeName;
}

/** All tasks by name. */
export const TASKS = {
  "faces-semantic": {
    data: { name: "faces", condition: "semantic", size: 32, count: 12_000 },
    loss: { kind: "attributes", set: "emoji" },
    judge: "attributes-faces",
  },
  "emoji-edges": {
    data: { name: "emoji", condition: "edges", size: 32 },
    loss: { kind: "attributes", set: "faces" },
    judge: "attributes-emoji",
  },
  /** Photographs, which a network of drawings could not judge. */
  "earth-semantic": {
    data: { name: "earth", condition: "semantic", size: 32 },
    loss: { kind: "hed-vgg16" },
    judge: "efficientnet-lite0",
  },
  /** Photographs whose held-out ones are spread as those in training; the package is fetched when it is asked for. */
  "cifar10-edges": {
    data: { name: "cifar10", condition: "edges", size: 32 },
    loss: { kind: "hed-vgg16" },
    judge: "efficientnet-lite0",
  },
} as const satisfies Record<string, Task>;

export type TaskName = keyof typeof TASKS;
export const TASK_NAMES = Object.keys(TASKS) as TaskName[];

/** What all arms are trained on, how large and for how long. */
export interface Budget {
  readonly regime: RegimeName;
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
  const { regularizer, exposure, codes, coupled } = ARMS[name];
  const { image, condition } = base.stage1.model;
  return parseConfig(
    {
      ...base,
      name: `${task}-${name}-seed${seed}`,
      seed,
      stage1: {
        ...base.stage1,
        model: { image: { ...image, codes: codes ?? image.codes }, condition, coupled },
        regularizer,
      },
      stage2: { ...base.stage2, exposure },
    },
    `of arm ${name}`,
  );
}

function shared(task: TaskName, { regime, steps1, steps2, set = [] }: Budget): Config {
  const decided = set.find((setting) => DECIDED.some((key) => setting.startsWith(key)));
  if (decided !== undefined) {
    throw new ConfigError(`--set ${decided}: the arms of the ablation decide that; choose among them with --arms.`);
  }
  const settings = [
    ...(steps1 === undefined ? [] : [`stage1.steps=${steps1}`]),
    ...(steps2 === undefined ? [] : [`stage2.steps=${steps2}`]),
    ...set,
  ];
  const { config, perceptual } = REGIMES[regime];
  const network = TASKS[task].loss;
  const stage1 = { ...config.stage1, perceptual: perceptual ? { weight: 0.1, network } : null };
  const base = { ...config, stage1, name: task, data: TASKS[task].data };
  const made = withSettings(base, settings, task);
  expectUndecided(withSettings(base, [], task), made);
  return made;
}

/** Settings may come as objects, too, such as stage1={"regularizer":…}. @throws ConfigError for what arms and seeds decide */
function expectUndecided(base: Config, made: Config): void {
  const at = (config: Config, path: string) =>
    JSON.stringify(path.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], config));
  const decided = DECIDED.find((path) => at(base, path) !== at(made, path));
  if (decided !== undefined)
    throw new ConfigError(`${decided} is set: the arms of the ablation decide that; choose among them with --arms.`);
}

/** What arms and seeds are about. */
const DECIDED = ["name", "seed", "stage1.regularizer", "stage1.model.coupled", "stage2.exposure"];

/** What two runs must have in common for one tokenizer to serve both. */
export function tokenizerKey({ seed, data, precision, stage1 }: Config): string {
  return JSON.stringify({ seed, data, precision, stage1 });
}
