import { existsSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "@iqvae/torch";
import { ConfigError } from "../config/index.ts";
import { heldOutPart, type PairDataset, type ScoredPart } from "../data/index.ts";
import { lockRun } from "../run/lock.ts";
import { openRun } from "../run/run-folder.ts";
import { statusOf } from "../run/status.ts";
import { openData } from "../run/train-run.ts";
import { makeFolder } from "../support/files.ts";
import { InterruptedError, interruptible } from "../support/interrupt.ts";
import { type Progress, silent } from "../support/progress.ts";
import { VERSION } from "../support/version.ts";
import { comparisonsOf } from "./comparisons.ts";
import { type Criterion, LOG_FIGURES, logFigures } from "./figures.ts";
import { picturedRuns, sideBySide } from "./pictures.ts";
import { type AblationResults, html, markdown } from "./report.ts";
import { type AblationPlan, expectSameSettings, type PlannedRun, runsOf, scoredSteps } from "./runs.ts";
import { columnsOf, type Judges, openJudges, scoresOf, valuesOf } from "./score.ts";
import { speedColumns } from "./speed.ts";
import type { ScoredRun } from "./summary.ts";
import { TASKS } from "./tasks.ts";
import { type FailedRun, type TrainingOptions, tellFailed, trainRuns } from "./train-runs.ts";

/** What an ablation wrote. */
export interface AblationFiles {
  readonly json: string;
  readonly markdown: string;
  readonly report: string;
}

export interface AblationOptions extends Omit<TrainingOptions, "trained"> {
  /** The held-out pairs that finished runs are scored on; `null` if what their logs say is enough. */
  readonly part: ScoredPart | null;
  /** Whether runs are trained that are not finished. Without, another process may go on with them meanwhile. */
  readonly train: boolean;
}

/**
 * Trains every arm with every seed, from wherever an earlier call stopped, and scores each run as soon as it is trained. Each time
 * it writes `ablation.json` and `ablation.md` of what there is into the plan's folder, and `report.html` in the end.
 *
 * @returns `interrupted` when it was asked to stop: call it again to go on
 * @throws ConfigError when the folder has runs of other settings, or none to compare and none is to be trained; Error when another
 *   process trains them, and they are to be trained. Nothing is written then
 */
export async function runAblation(
  plan: AblationPlan,
  options: AblationOptions,
): Promise<"interrupted" | { files: AblationFiles; failed: readonly FailedRun[] }> {
  const runs = runsOf(plan);
  expectSameSettings(plan);
  if (!options.train && !runs.some(mayBeFinished))
    throw new ConfigError(
      `No run of this plan is finished in ${plan.out}, so there is nothing to compare. Train first, without --no-train, or name the ` +
        "arms and seeds that are there by --arms and --seeds.",
    );
  makeFolder(plan.out);
  const unlock = options.train ? lock(plan.out) : () => {};
  try {
    return await compare(plan, runs, options);
  } catch (error) {
    if (error instanceof InterruptedError) return "interrupted";
    throw error;
  } finally {
    unlock();
  }
}

/** Two that train the runs of one folder would each find half of them held by the other. */
function lock(folder: string): () => void {
  try {
    return lockRun(folder);
  } catch (error) {
    throw new Error(`${(error as Error).message} Tables of what is trained by now: --no-train.`, { cause: error });
  }
}

/** @throws InterruptedError when it was asked to stop while data are drawn, judges are trained or a run is scored */
async function compare(
  plan: AblationPlan,
  runs: readonly PlannedRun[],
  options: AblationOptions,
): ReturnType<typeof runAblation> {
  const { part, interrupt } = options;
  const progress = interruptible(options.progress, interrupt);
  // Drawn once, before several processes want it.
  const dataset = await openData(runs[0]!.config.data, progress);
  try {
    const score = part === null ? null : { part, judges: await openJudges(dataset, TASKS[plan.task].judge, progress) };
    const scores = new Scores(runs, score, options);
    const trained = async (run: PlannedRun) => {
      await scores.add(run);
      writeTables(plan, { part, failed: [], ...scores.results() });
    };
    const { outcome, failed } = options.train
      ? await trainRuns(runs, { ...options, trained })
      : await scoreFinished(runs, trained, progress);
    if (outcome === "interrupted" || interrupt.requested) return "interrupted";
    return await conclude(plan, dataset, { part, failed, ...scores.results() }, progress);
  } finally {
    dataset.close();
  }
}

/** What fails is told and returned; the others are scored. @throws InterruptedError */
async function scoreFinished(
  runs: readonly PlannedRun[],
  trained: (run: PlannedRun) => Promise<void>,
  progress: Progress,
): ReturnType<typeof trainRuns> {
  const failed: FailedRun[] = [];
  for (const run of runs) {
    try {
      if (isFinished(run)) await trained(run);
    } catch (error) {
      if (error instanceof InterruptedError) throw error;
      failed.push({ run, error: error as Error });
    }
  }
  tellFailed(failed, progress);
  return { outcome: "finished", failed };
}

/** Of a damaged run it is said later what is wrong with it. */
function mayBeFinished(run: PlannedRun): boolean {
  try {
    return isFinished(run);
  } catch {
    return true;
  }
}

function isFinished({ path }: PlannedRun): boolean {
  return existsSync(join(path, "config.json")) && statusOf(openRun(path)).finished;
}

/** What is known of the runs so far. */
class Scores {
  readonly #scored = new Map<PlannedRun, ScoredRun[]>();
  readonly #columns = new Map<string, Criterion>();

  constructor(
    private readonly planned: readonly PlannedRun[],
    private readonly score: { readonly part: ScoredPart; readonly judges: Judges } | null,
    private readonly options: Pick<AblationOptions, "progress" | "interrupt" | "train">,
  ) {}

  /** @throws InterruptedError when it was asked to stop */
  async add(planned: PlannedRun): Promise<void> {
    const { progress } = this.options;
    const { arm, seed, path, config } = planned;
    const run = openRun(path);
    const ofLog = logFigures(run);
    if (this.score === null) {
      this.#scored.set(planned, [{ arm, seed, step: config.stage2.steps, figures: ofLog }]);
      return;
    }
    const { part, judges } = this.score;
    const steps = scoredSteps(config);
    progress.tell(`Scoring ${path}`, { event: "scoring", run: path });
    const figures = await scoresOf(run, steps, part, judges, this.#ofScoring());
    for (const column of figures.flatMap(columnsOf)) this.#columns.set(column.name, column);
    this.#scored.set(
      planned,
      steps.map((step, i) => ({ arm, seed, step, figures: { ...ofLog, ...valuesOf(figures[i]!) } })),
    );
    progress.tell(`${path} is scored`, { event: "scored", run: path });
  }

  /** Of the bars of trainings that go on beside it, and of the many parts of a scoring, nothing is to be seen. */
  #ofScoring(): Progress {
    const { train, progress, interrupt } = this.options;
    const shown = train ? silent : progress;
    return interruptible(
      {
        begin: (...given) => shown.begin(...given),
        update: (...given) => shown.update(...given),
        end: () => shown.end(),
        tell() {},
      },
      interrupt,
    );
  }

  results(): Pick<AblationResults, "runs" | "scored" | "figures" | "comparisons"> {
    const runs = this.planned.filter((run) => this.#scored.has(run));
    const scored = runs.flatMap((run) => this.#scored.get(run)!);
    const columns = [...this.#columns.values()];
    const ofLogs = LOG_FIGURES.filter(({ name }) => !this.#columns.has(name));
    const figures = [...columns, ...speedColumns(columns), ...ofLogs];
    return { runs, scored, figures, comparisons: comparisonsOf(scored, figures) };
  }
}

function writeTables(
  plan: AblationPlan,
  { failed, ...results }: Omit<AblationResults, "plan">,
): Omit<AblationFiles, "report"> {
  const files = { json: join(plan.out, "ablation.json"), markdown: join(plan.out, "ablation.md") };
  const failures = failed.map(({ run, error }) => ({ path: run.path, message: error.message }));
  const { part, scored, comparisons } = results;
  const document = { version: VERSION, plan, part, runs: scored, failed: failures, comparisons };
  replaceFile(files.json, `${JSON.stringify(document, null, 2)}\n`);
  replaceFile(files.markdown, markdown({ plan, failed, ...results }));
  return files;
}

async function conclude(
  plan: AblationPlan,
  dataset: PairDataset,
  results: Omit<AblationResults, "plan">,
  progress: Progress,
): Promise<{ files: AblationFiles; failed: readonly FailedRun[] }> {
  const files = { ...writeTables(plan, results), report: join(plan.out, "report.html") };
  const { runs, part } = results;
  const shown = picturedRuns(plan.arms, runs);
  const pictures = await sideBySide(shown, heldOutPart(dataset, part ?? "selection"));
  const failed = [...results.failed, ...pictures.failed];
  if (pictures.failed.length > 0) {
    tellFailed(pictures.failed, progress);
    writeTables(plan, { ...results, failed });
  }
  if (pictures.png !== undefined) replaceFile(join(plan.out, "samples.png"), pictures.png);
  replaceFile(files.report, html({ plan, ...results, failed }, pictures.png));
  return { files, failed };
}
