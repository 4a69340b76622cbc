import { GroupError, replaceFile, setNumThreads, WriteError } from "@iqvae/torch";
import { report } from "../report/report.ts";
import { discardUnbegun, type RunFolder } from "../run/run-folder.ts";
import { statusOf } from "../run/status.ts";
import { trainRun } from "../run/train-run.ts";
import { Interrupt } from "../support/interrupt.ts";
import type { Peers } from "../support/peers.ts";
import type { Progress } from "../support/progress.ts";
import { sayAnyway } from "./terminal.ts";

/**
 * Trains a run with Ctrl-C attended to, and writes its report at the end.
 *
 * @param goOn the command that goes on with it
 * @param peers the processes that train it together, if there are several; the first reports
 * @returns whether it was finished; if not, the exit code is set to that of the signal
 */
export async function trainAttended(
  run: RunFolder,
  progress: Progress,
  {
    threads,
    peers,
    goOn = `npx iqvae resume ${run.path}`,
  }: { threads?: number | undefined; peers?: Peers | undefined; goOn?: string },
): Promise<boolean> {
  if (threads !== undefined) setNumThreads(threads);
  const interrupt = new Interrupt((signal) => {
    const text = "Stopping after this step, then saving. A second Ctrl-C quits at once.";
    progress.tell(text, { event: "stopping", signal });
  });
  try {
    const outcome = await trainRun(run, { progress, interrupt, peers });
    if (peers !== undefined && !peers.isFirst) {
      if (outcome === "interrupted") process.exitCode = interrupt.exitCode || STOPPED_BY_ANOTHER;
      return outcome === "finished";
    }
    const { stage, step, steps, finished } = statusOf(run);
    writeReport(run, progress);
    if (outcome === "interrupted") {
      const text = `Saved ${run.path} at step ${step} of ${steps} of ${stage}. Go on: ${goOn}`;
      sayAnyway(text);
      progress.tell(text, { event: "interrupted", run: run.path, stage, step, steps, goOn });
      process.exitCode = interrupt.exitCode || STOPPED_BY_ANOTHER;
    }
    return finished && outcome === "finished";
  } finally {
    interrupt.close();
  }
}

/**
 * Takes a run away again if what begins its training fails before anything is learned.
 *
 * @param peers the processes that train it together, if there are several; the first takes it away
 */
export async function orDiscard<T>(run: RunFolder, peers: Peers | undefined, begin: () => Promise<T>): Promise<T> {
  try {
    return await begin();
  } catch (error) {
    // After these it can go on, and they say so.
    const canGoOn = error instanceof WriteError || error instanceof GroupError;
    try {
      if (!canGoOn && (peers?.isFirst ?? true)) discardUnbegun(run);
    } catch {} // Why it could not begin counts.
    throw error;
  }
}

/** Of a process whose peer was asked to stop; as after SIGTERM. */
const STOPPED_BY_ANOTHER = 143;

/** A report that cannot be written, on a full disk say, must not hide that the training is saved. */
function writeReport(run: RunFolder, progress: Progress): void {
  try {
    replaceFile(run.report, report(run));
  } catch (error) {
    if (!(error instanceof WriteError)) throw error;
    progress.tell(`The training is saved, but not its report. ${error.message}`, {
      event: "no-report",
      text: error.message,
    });
    process.exitCode = 1;
  }
}
