import { setTimeout as later } from "node:timers/promises";
import { openRun } from "../run/run-folder.ts";
import { statusOf } from "../run/status.ts";
import type { Interrupt } from "../support/interrupt.ts";
import type { Progress, ProgressEvent } from "../support/progress.ts";
import type { Child } from "./child.ts";
import { ownSteps, type PlannedRun, prepareRun, stepsDone } from "./runs.ts";
import { schedule } from "./schedule.ts";

export interface TrainingOptions {
  /** Processes at a time. */
  readonly jobs: number;
  readonly progress: Progress;
  readonly interrupt: Pick<Interrupt, "requested">;
  /** Starts `iqvae resume PATH`. */
  readonly start: (path: string, onEvent: (event: ProgressEvent) => void) => Child | Promise<Child>;
  /** Called when a run is trained, also when it was before. Its place among the processes is free only afterward. */
  readonly trained?: (run: PlannedRun) => Promise<void>;
}

const MILLISECONDS_BETWEEN_LOOKS = 200;

/** A run that could not be trained to its end, scored or drawn with, and why. */
export interface FailedRun {
  readonly run: PlannedRun;
  readonly error: Error;
}

export function tellFailed(failed: readonly FailedRun[], progress: Progress): void {
  for (const { run, error } of failed)
    progress.tell(`${run.path} failed: ${error.message}`, { event: "failed", run: run.path, message: error.message });
}

/**
 * Trains all runs from wherever they stand, each by a process of its own. What fails is told and returned; the others go on.
 *
 * @returns `interrupted` when it was asked to stop: all is saved then
 */
export async function trainRuns(
  runs: readonly PlannedRun[],
  { jobs, progress, interrupt, start, trained }: TrainingOptions,
): Promise<{ outcome: "finished" | "interrupted"; failed: FailedRun[] }> {
  const steps = new Map(runs.map((run) => [run, stepsDone(run)]));
  const sum = () => [...steps.values()].reduce((a, b) => a + b, 0);
  const total = runs.reduce((all, run) => all + ownSteps(run), 0);
  const children = new Set<Child>();
  let finished = runs.filter((run) => stepsDone(run) === ownSteps(run)).length;

  const work = async (run: PlannedRun): Promise<void> => {
    await training(run);
    await trained?.(run);
  };

  const training = async (run: PlannedRun): Promise<void> => {
    const folder = prepareRun(run);
    if (statusOf(folder).finished) return;
    const child = await start(run.path, (event) => {
      const at = stepsAt(run, event);
      if (at === undefined) return;
      steps.set(run, at);
      progress.update(sum());
    });
    children.add(child);
    try {
      await child.ended;
    } finally {
      children.delete(child);
    }
    if (!statusOf(openRun(run.path)).finished) throw new Error("it was interrupted");
    steps.set(run, ownSteps(run));
    finished++;
    const text = `${run.path} is trained, ${finished} of ${runs.length}`;
    progress.tell(text, { event: "trained", run: run.path, finished, runs: runs.length });
  };

  const watch = new AbortController();
  const watching = passOn(interrupt, children, watch.signal);
  progress.begin("training", total, sum());
  try {
    const planned = runs.map((run) => ({ subject: run, after: run.leader }));
    const outcomes = await schedule(planned, jobs, work, () => interrupt.requested);
    if (interrupt.requested) return { outcome: "interrupted", failed: [] };
    const failed = [...outcomes].flatMap(([run, end]) => (end === "done" ? [] : [{ run, error: end }]));
    tellFailed(failed, progress);
    return { outcome: "finished", failed };
  } finally {
    watch.abort();
    await watching;
    progress.end();
  }
}

/** Passes an interruption on to the children, once. */
async function passOn(interrupt: Pick<Interrupt, "requested">, children: ReadonlySet<Child>, signal: AbortSignal) {
  while (!signal.aborted) {
    if (interrupt.requested) {
      for (const child of children) child.interrupt();
      return;
    }
    await later(MILLISECONDS_BETWEEN_LOOKS, undefined, { signal }).catch(() => {});
  }
}

/** Steps of its own that a run has done, by what its process says. */
function stepsAt({ leader, config }: PlannedRun, { event, task, done }: ProgressEvent): number | undefined {
  if ((event !== "progress" && event !== "begin") || typeof done !== "number") return undefined;
  if (task === "stage1") return leader === null ? done : 0;
  return task === "stage2" ? (leader === null ? config.stage1.steps : 0) + done : undefined;
}
