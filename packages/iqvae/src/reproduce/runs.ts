import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { replaceFile } from "@iqvae/torch";
import { type Config, ConfigError } from "../config/index.ts";
import { listCheckpoints } from "../run/checkpoint.ts";
import { readMetrics } from "../run/metrics-log.ts";
import { createRun, openRun, type RunFolder } from "../run/run-folder.ts";
import { statusOf } from "../run/status.ts";
import { makeFolder } from "../support/files.ts";
import { ARM_NAMES, type ArmName } from "./arms.ts";
import { type Budget, configFor, type TaskName, tokenizerKey } from "./tasks.ts";

/** What an ablation consists of. */
export interface AblationPlan {
  readonly task: TaskName;
  readonly arms: readonly ArmName[];
  readonly seeds: readonly number[];
  readonly budget: Budget;
  /** The folder of all its runs. */
  readonly out: string;
}

/** One training of an ablation: an ordinary run. */
export interface PlannedRun {
  readonly arm: ArmName;
  readonly seed: number;
  readonly path: string;
  readonly config: Config;
  /** The run that trains the tokenizer which this one takes over; none for one that trains its own. */
  readonly leader: PlannedRun | null;
}

/**
 * All runs of a plan, seed by seed, so that what is finished can be compared early. Of a seed those that train tokenizers come
 * first: with several processes, the others then need not wait.
 *
 * @throws ConfigError when the settings do not fit
 */
export function runsOf({ task, arms, seeds, budget, out }: AblationPlan): PlannedRun[] {
  return seeds.flatMap((seed) => {
    const leaders = new Map<string, PlannedRun>();
    const runs = arms.map((arm): PlannedRun => {
      const config = configFor(task, arm, seed, budget);
      const key = tokenizerKey(config);
      const run = { arm, seed, path: join(out, `${arm}-seed${seed}`), config, leader: leaders.get(key) ?? null };
      if (run.leader === null) leaders.set(key, run);
      return run;
    });
    return [...runs.filter(({ leader }) => leader === null), ...runs.filter(({ leader }) => leader !== null)];
  });
}

/** The steps of stage 2 after which a run is scored, in their order: those to keep, and the last. */
export function scoredSteps({ keepAt, stage2: { steps } }: Pick<Config, "keepAt" | "stage2">): number[] {
  return [...new Set([...keepAt.filter((step) => step < steps), steps])].sort((a, b) => a - b);
}

/** Steps of both stages that a run trains itself. */
export function ownSteps({ config, leader }: PlannedRun): number {
  return (leader === null ? config.stage1.steps : 0) + config.stage2.steps;
}

/** How many of {@link ownSteps} are done. */
export function stepsDone(planned: PlannedRun): number {
  if (!existsSync(join(planned.path, "config.json"))) return 0;
  const { stage, step } = statusOf(openRun(planned.path));
  const before = stage === "stage2" && planned.leader === null ? planned.config.stage1.steps : 0;
  return stage === "stage1" && planned.leader !== null ? 0 : before + step;
}

/**
 * The folder of a planned run, made if it is not there. Stage 1 of a run that shares a tokenizer is copied from its leader:
 * checkpoint, tokens, log and pictures, so that it is a run like any other.
 *
 * @throws ConfigError when there is a run of other settings; Error when the leader has not finished
 */
export function prepareRun({ path, config, leader }: PlannedRun): RunFolder {
  if (existsSync(join(path, "config.json"))) return checked(openRun(path), config);
  makeFolder(path);
  if (leader !== null) takeOver(openRun(leader.path), path);
  return createRun(path, config);
}

/**
 * Looks at all runs that the folder of a plan has, also at those of other arms and seeds.
 *
 * @throws ConfigError when one was made with other settings, or the folder is a file
 */
export function expectSameSettings({ task, budget, out }: AblationPlan): void {
  const there = statSync(out, { throwIfNoEntry: false });
  if (there?.isDirectory() === false) throw new ConfigError(`${out} is a file. Name a folder with --out.`);
  for (const name of there === undefined ? [] : readdirSync(out)) {
    const [, of, seed] = /^(.+)-seed(\d+)$/.exec(name) ?? [];
    const arm = ARM_NAMES.find((one) => one === of);
    const path = join(out, name);
    if (arm === undefined || !existsSync(join(path, "config.json"))) continue;
    checked(openRun(path), configFor(task, arm, Number(seed), budget));
  }
}

/** @throws ConfigError when a run that is there was made with other settings */
function checked(run: RunFolder, wanted: Config): RunFolder {
  const [there, here] = [leavesOf(run.config), leavesOf(wanted)];
  const keys = [...new Set([...there.keys(), ...here.keys()])].filter((key) => there.get(key) !== here.get(key));
  if (keys.length === 0) return run;
  const [key = ""] = keys;
  const more = keys.length > 1 ? `, and ${keys.length - 1} more values differ` : "";
  throw new ConfigError(
    `${run.path} was made with other settings: ${key} is ${there.get(key)} there and would be ${here.get(key)} now${more}. ` +
      "Give the same settings as then, or another folder with --out.",
  );
}

function leavesOf(value: unknown, prefix = ""): Map<string, string> {
  if (typeof value !== "object" || value === null) return new Map([[prefix, JSON.stringify(value)]]);
  return new Map(
    Object.entries(value).flatMap(([key, inner]) => [...leavesOf(inner, prefix === "" ? key : `${prefix}.${key}`)]),
  );
}

function takeOver(leader: RunFolder, path: string): void {
  const newest = listCheckpoints(leader.checkpoints, "stage1")[0];
  if (newest?.step !== leader.config.stage1.steps) throw new Error(`${leader.path} has not finished stage 1 yet.`);
  for (const folder of ["checkpoints", "samples"]) makeFolder(join(path, folder));
  // The description goes last: it is what makes the two files a checkpoint.
  for (const file of [newest.path.replace(/json$/, "safetensors"), newest.path]) {
    copy(file, join(path, "checkpoints", basename(file)));
  }
  if (existsSync(leader.tokens)) copy(leader.tokens, join(path, basename(leader.tokens)));
  const pictures = readdirSync(leader.samples).filter((name) => name.startsWith("stage1-"));
  for (const name of pictures) copy(join(leader.samples, name), join(path, "samples", name));
  const records = readMetrics(leader.log.path).filter(({ stage }) => stage === "stage1");
  const lines = records.map((record) => `${JSON.stringify(record)}\n`).join("");
  replaceFile(join(path, basename(leader.log.path)), lines);
}

function copy(from: string, to: string): void {
  replaceFile(to, readFileSync(from));
}
