import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { groupBackends } from "@iqvae/torch";
import type { Config } from "../config/index.ts";
import { plan } from "../plan/plan.ts";
import { listCheckpoints, readCheckpoint } from "../run/checkpoint.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { Interrupt, InterruptedError, interruptible } from "../support/interrupt.ts";
import type { Progress } from "../support/progress.ts";
import { STAGES } from "../support/trainer.ts";
import type { StepSeconds } from "./fit-to-machine.ts";
import { startRanks } from "./local-processes.ts";

/** What decides how a training is computed, where nothing was asked for. */
export interface Asked {
  readonly device: string;
  readonly processes?: number | undefined;
  readonly threads?: number | undefined;
}

/** Operations a second that a core of any kind makes at least: a training that would be over in {@link WORTH} is not measured first. */
const SLOW_CORE = 20e9;
const WORTH = 60;
/** One process stays the choice where several gain less: weights and pictures are kept once then. */
const LEAST_GAIN = 1.05;
const PATIENCE_MS = 60_000;
/** Operations a second that a core makes at most: what takes too long even then is not measured. */
const FAST_CORE = 200e9;
/** A stage is timed by as many steps, at least. */
const TIMED_STEPS = 3;

/**
 * How many processes of this machine train a run: as many as were asked for; else those that have trained it so far, for equal bits; else,
 * on CPUs, one of as many threads as there are cores, or as many of one thread, whichever makes both stages sooner. That is measured, in some
 * seconds, where the training takes much longer than that.
 *
 * @param run where it has begun already
 * @param time for tests
 */
export async function chooseProcesses(
  config: Config,
  asked: Asked,
  progress: Progress,
  { run, prepare, cores = availableParallelism(), time = timeApart }: Choosing = {},
): Promise<number> {
  if (asked.processes !== undefined) return asked.processes;
  if (asked.device !== "cpu" || !groupBackends().includes("gloo")) return 1;
  const before = run === undefined ? undefined : trainedBy(run);
  if (before !== undefined) return before <= cores ? before : 1;
  if (asked.threads !== undefined || process.env.OMP_NUM_THREADS) return 1;
  const most = mostShares(config, cores);
  if (most === 1 || !isWorthMeasuring(config, cores)) return 1;
  return await stoppable(progress, async (interrupt, stop) => {
    await prepare?.(config, interruptible(progress, interrupt));
    return await measured({ config, most, cores }, progress, (count) => time(config, count, cores, stop));
  });
}

/** Which of the two numbers of processes trains a run sooner; one where that cannot be measured. */
async function measured(
  { config, most, cores }: { readonly config: Config; readonly most: number; readonly cores: number },
  progress: Progress,
  time: (processes: number) => Promise<StepSeconds | undefined>,
): Promise<number> {
  progress.tell(`Measuring whether ${most} processes of one thread train faster than one of ${cores}: some seconds.`, {
    event: "next",
    what: "processes",
    takes: "some seconds",
  });
  const one = await time(1);
  const several = one && (await time(most));
  if (one === undefined || several === undefined) return 1;
  const gain = secondsOf(config, one) / secondsOf(config, several);
  const chosen = gain >= LEAST_GAIN ? most : 1;
  const text = `${most} processes take ${(1 / gain).toFixed(2)} of the time of one: ${chosen === 1 ? "one trains" : `${most} train`}.`;
  progress.tell(text, { event: "processes", processes: chosen, gain, one, several });
  return chosen;
}

/** Does what is lost when it is stopped: a signal ends it, and the exit code is that of the signal. @throws InterruptedError */
async function stoppable<T>(
  progress: Progress,
  task: (interrupt: Pick<Interrupt, "requested">, stop: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const interrupt = new Interrupt((signal) => {
    progress.tell("Stopping before the training.", { event: "stopping", signal });
    stop.abort();
  });
  try {
    const result = await task(interrupt, stop.signal);
    if (interrupt.requested) throw new InterruptedError("asked to stop");
    return result;
  } finally {
    if (interrupt.requested) process.exitCode = interrupt.exitCode;
    interrupt.close();
  }
}

interface Choosing {
  readonly run?: RunFolder | undefined;
  /** What has to succeed before it is worth to measure. */
  readonly prepare?: (config: Config, progress: Progress) => Promise<void>;
  readonly cores?: number;
  /** Seconds of a step of both stages in so many processes; nothing where it could not be measured. */
  readonly time?: (
    config: Config,
    processes: number,
    cores: number,
    stop: AbortSignal,
  ) => Promise<StepSeconds | undefined>;
}

/** In how many processes a run was trained last. */
function trainedBy(run: RunFolder): number | undefined {
  const newest = [...STAGES].reverse().flatMap((stage) => listCheckpoints(run.checkpoints, stage)[0] ?? [])[0];
  return newest && (readCheckpoint(newest.path).processes ?? 1);
}

/** The most processes up to `cores` that share all batches evenly. */
function mostShares({ stage1, stage2 }: Config, cores: number): number {
  const batches = [stage1.batch, stage2.batch * stage2.accumulate];
  for (let count = cores; count > 1; count--) if (batches.every((rows) => rows % count === 0)) return count;
  return 1;
}

/** Whether a training takes long, and its steps do not. */
function isWorthMeasuring(config: Config, cores: number): boolean {
  const { stage1, stage2 } = plan(config, { measure: false, utilization: 1 });
  const operations = config.stage1.steps * stage1.operations + config.stage2.steps * stage2.operations;
  const timed = TIMED_STEPS * (stage1.operations + stage2.operations);
  return operations / (SLOW_CORE * cores) > WORTH && timed / (FAST_CORE * cores) < PATIENCE_MS / 1000;
}

const secondsOf = ({ stage1, stage2 }: Config, each: StepSeconds) =>
  stage1.steps * each.stage1 + stage2.steps * each.stage2;

/**
 * Times steps in processes of their own: the number of threads is decided before libtorch is loaded.
 *
 * @param stop ends them
 * @returns nothing where it took too long, was stopped, or failed
 */
export async function timeApart(
  config: Config,
  processes: number,
  cores: number,
  stop?: AbortSignal,
): Promise<StepSeconds | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "iqvae-"));
  try {
    const file = join(folder, "config.json");
    writeFileSync(file, JSON.stringify(config));
    const children = await startRanks(processes, ["time-steps", file, "--json"], { cores, output: "pipe" });
    const end = AbortSignal.any([AbortSignal.timeout(PATIENCE_MS), ...(stop === undefined ? [] : [stop])]);
    const killAll = () => {
      for (const child of children) child.kill("SIGKILL");
    };
    if (end.aborted) killAll();
    end.addEventListener("abort", killAll);
    let said = "";
    children[0]!.stdout!.setEncoding("utf8").on("data", (text: string) => (said += text));
    for (const { stderr } of children) stderr!.resume();
    for (const { stdout } of children.slice(1)) stdout!.resume();
    await Promise.all(children.map((child) => new Promise((done) => child.on("close", done).on("error", done))));
    const line = said.split("\n").find((text) => text.includes('"event":"times"'));
    return line === undefined ? undefined : (JSON.parse(line) as StepSeconds);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
