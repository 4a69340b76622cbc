import { existsSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "@iqvae/torch";
import { heldOutPart, type PairDataset, type ScoredPart } from "../data/index.ts";
import { openRun } from "../run/run-folder.ts";
import { statusOf } from "../run/status.ts";
import { openData } from "../run/train-run.ts";
import { makeFolder } from "../support/files.ts";
import { VERSION } from "../support/version.ts";
import { COMPARISON_NAMES, COMPARISONS } from "./arms.ts";
import { type Criterion, LOG_FIGURES, logFigures } from "./figures.ts";
import { sideBySide } from "./pictures.ts";
import { type AblationResults, html, markdown } from "./report.ts";
import { type AblationPlan, checked, type PlannedRun, runsOf } from "./runs.ts";
import { columnsOf, openJudges, scoreOf, valuesOf } from "./score.ts";
import { type ComparisonSummary, type ScoredRun, summarize } from "./summary.ts";
import { type FailedRun, type TrainingOptions, trainRuns } from "./train-runs.ts";

/** What an ablation wrote. */
export interface AblationFiles {
  readonly json: string;
  readonly markdown: string;
  readonly report: string;
}

/**
 * Trains every arm with every seed, from wherever an earlier call stopped, and writes `ablation.json`, `ablation.md` and
 * `report.html` into the plan's folder.
 *
 * @param part the held-out pairs that finished runs are scored on; `null` if what their logs say is enough
 * @returns `interrupted` when it was asked to stop: call it again to go on
 * @throws ConfigError when the folder has runs of other settings; nothing is trained then
 */
export async function runAblation(
  plan: AblationPlan,
  options: TrainingOptions,
  part: ScoredPart | null,
): Promise<"interrupted" | { files: AblationFiles; failed: readonly FailedRun[] }> {
  const runs = runsOf(plan);
  for (const { path, config } of runs) if (existsSync(join(path, "config.json"))) checked(openRun(path), config);
  makeFolder(plan.out);
  // Drawn once, before several processes want it.
  const dataset = await openData(runs[0]!.config.data, options.progress);
  try {
    const { outcome, failed } = await trainRuns(runs, options);
    if (outcome === "interrupted") return outcome;
    const files = await conclude(plan, { runs, failed, dataset, part }, options);
    return files === "interrupted" ? files : { files, failed };
  } finally {
    dataset.close();
  }
}

interface Trained {
  readonly runs: readonly PlannedRun[];
  readonly failed: readonly FailedRun[];
  readonly dataset: PairDataset;
  readonly part: ScoredPart | null;
}

async function conclude(
  plan: AblationPlan,
  { runs: planned, failed, dataset, part }: Trained,
  { progress, interrupt }: Pick<TrainingOptions, "progress" | "interrupt">,
): Promise<AblationFiles | "interrupted"> {
  const runs = planned.filter(({ path }) => existsSync(join(path, "config.json")) && statusOf(openRun(path)).finished);
  const configs = planned.map(({ config }) => config);
  const score = part === null ? null : { part, judges: await openJudges(dataset, configs, progress) };
  const scored: ScoredRun[] = [];
  let columns: Criterion[] = [];
  progress.begin("scoring", runs.length, 0);
  for (const { arm, seed, path } of runs) {
    // Lets a progress bar draw and Ctrl-C through.
    await new Promise(setImmediate);
    if (interrupt.requested) return "interrupted";
    const run = openRun(path);
    const ofSamples = score === null ? [] : await scoreOf(run, score.part, score.judges);
    if (columns.length === 0) columns = columnsOf(ofSamples);
    scored.push({ arm, seed, figures: { ...logFigures(run), ...valuesOf(ofSamples) } });
    progress.update(scored.length);
  }
  progress.end();
  const measured = new Set(columns.map(({ name }) => name));
  const figures = [...columns, ...LOG_FIGURES.filter(({ name }) => !measured.has(name))];
  const comparisons = newOnes(COMPARISON_NAMES.flatMap((name) => summarize(COMPARISONS[name], figures, scored) ?? []));
  const results: AblationResults = { plan, part, runs, failed, figures, comparisons };
  const shown = plan.arms.flatMap((arm) => runs.find((run) => run.arm === arm) ?? []);
  const pictures = shown.length === 0 ? undefined : await sideBySide(shown, heldOutPart(dataset, part ?? "selection"));

  const files = {
    json: join(plan.out, "ablation.json"),
    markdown: join(plan.out, "ablation.md"),
    report: join(plan.out, "report.html"),
  };
  if (pictures !== undefined) replaceFile(join(plan.out, "samples.png"), pictures);
  const failures = failed.map(({ run, error }) => ({ path: run.path, message: error.message }));
  const document = { version: VERSION, plan, part, runs: scored, failed: failures, comparisons };
  replaceFile(files.json, `${JSON.stringify(document, null, 2)}\n`);
  replaceFile(files.markdown, markdown(results));
  replaceFile(files.report, html(results, pictures));
  return files;
}

/** Without those whose arms an earlier one has all of. */
function newOnes(comparisons: readonly ComparisonSummary[]): ComparisonSummary[] {
  return comparisons.filter(({ arms }, i) => {
    const before = comparisons.slice(0, i).map((earlier) => new Set(earlier.arms.map(({ arm }) => arm)));
    return !before.some((earlier) => arms.every(({ arm }) => earlier.has(arm)));
  });
}
