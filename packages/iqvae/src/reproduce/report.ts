import type { ScoredPart } from "../data/index.ts";
import { type Chart, chart, type Series } from "../report/chart.ts";
import { embeddedPng, escapeHtml, page, table } from "../report/html.ts";
import { runStyle } from "../report/palette.ts";
import { STYLE } from "../report/style.ts";
import { openRun } from "../run/run-folder.ts";
import type { Stage } from "../support/trainer.ts";
import { VERSION } from "../support/version.ts";
import { ARMS } from "./arms.ts";
import { type Criterion, curveOf } from "./figures.ts";
import { picturedRuns, seedOf } from "./pictures.ts";
import type { AblationPlan, PlannedRun } from "./runs.ts";
import { type ComparisonSummary, type ScoredRun, spreadOf } from "./summary.ts";
import { htmlTable, markdownTable, tripleTables } from "./tables.ts";
import type { FailedRun } from "./train-runs.ts";

/** All that came of an ablation. */
export interface AblationResults {
  readonly plan: AblationPlan;
  /** The held-out pairs that figures are of; `null`: as the logs have them, of those that weights are picked with. */
  readonly part: ScoredPart | null;
  /** Finished runs. */
  readonly runs: readonly PlannedRun[];
  /** The same after each step that they were scored at. */
  readonly scored: readonly ScoredRun[];
  readonly failed: readonly FailedRun[];
  readonly figures: readonly Criterion[];
  readonly comparisons: readonly ComparisonSummary[];
}

/** What a reader has to know before believing a table. */
const NOTES = [
  "Means ± standard deviation over seeds; in parentheses the mean of the changes against the first column, seed by seed, and its 95 % interval by Student's t.",
  "Reconstruction, gap and total belong together: a tokenizer that says less has a smaller gap.",
  "Bits of different tokenizers cannot be compared: one that says less is easier to predict.",
];

/** The tables in Markdown. */
export function markdown({ plan, part, figures, comparisons, failed }: AblationResults): string {
  const tables = comparisons.map((one) =>
    [`## ${titleOf(one)}`, tripleTables(one, figures), markdownTable(one, figures)].filter(Boolean).join("\n\n"),
  );
  const failures = failed.map(({ run, error }) => `- ${run.path} failed: ${error.message}`).join("\n");
  const parts = [`# Ablation: ${plan.task}`, `${describe(plan, part)} ${NOTES.join(" ")}`, ...tables, failures];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

/**
 * The report as one HTML file that needs nothing else.
 *
 * @param pictures a PNG of what each arm draws for the same conditions
 */
export function html(results: AblationResults, pictures: Uint8Array | undefined): string {
  const { plan, part, runs, failed, figures, comparisons } = results;
  const title = `Ablation: ${plan.task}`;
  const body = [
    `<h1>${escapeHtml(title)}</h1><p class="soft">${escapeHtml(describe(plan, part))}</p>`,
    ...NOTES.map((note) => `<p class="soft">${escapeHtml(note)}</p>`),
    ...failed.map(({ run, error }) => `<p><b>${escapeHtml(run.path)} failed:</b> ${escapeHtml(error.message)}</p>`),
    ...comparisons.map((one) => `<h2>${escapeHtml(titleOf(one))}</h2>${htmlTable(one, figures)}`),
    pictures === undefined ? "" : sideBySideSection(pictures, picturedRuns(plan.arms, runs)),
    curves(plan, runs),
    `<h2>Settings</h2>${table([...settings(plan), ["iqvae", VERSION]])}`,
  ];
  return page(title, `${STYLE}${runStyle(plan.arms.length)}.wide { overflow-x: auto; }`, body);
}

function titleOf({ title, step }: ComparisonSummary): string {
  return `${title}: ${step} steps of stage 2`;
}

function describe(
  { seeds, arms, budget: { regime, steps1, steps2, set = [] } }: AblationPlan,
  part: ScoredPart | null,
): string {
  const ofSeeds = `${seeds.length === 1 ? "seed" : "seeds"} ${seeds.join(", ")}`;
  const purpose = part === null ? "picking weights" : part === "tune" ? "finding settings" : "reporting";
  const steps = [steps1, steps2].flatMap((count, i) => (count === undefined ? [] : [`stage${i + 1}.steps=${count}`]));
  const values = [...steps, ...set].join(", ");
  const budgets = values === "" ? "equal budgets" : `equal budgets, with ${values}`;
  return `Regime ${regime}, ${arms.length} arms, ${ofSeeds}, ${budgets}. Figures are of the held-out pairs for ${purpose}.`;
}

function settings({ task, budget, out }: AblationPlan): [string, string][] {
  const { regime, steps1, steps2, set = [] } = budget;
  return [
    ["task", task],
    ["regime", regime],
    ["steps of stage 1", steps1 === undefined ? "as the task has it" : String(steps1)],
    ["steps of stage 2", steps2 === undefined ? "as the task has it" : String(steps2)],
    ["other values", set.join(", ") || "none"],
    ["runs", out],
  ];
}

function sideBySideSection(png: Uint8Array, runs: readonly PlannedRun[]): string {
  const seed = seedOf(runs);
  const ofSeed = seed === undefined ? "each with a seed of its own" : `seed ${seed}`;
  const caption = `Held-out conditions, two columns each; what the arms draw for them, ${ofSeed}.`;
  return (
    `<h2>Samples side by side</h2><figure class="picture"><figcaption>${caption}</figcaption>` +
    `${embeddedPng(png, "Samples of all arms for the same conditions")}</figure>`
  );
}

const CURVES: readonly { title: string; stage: Stage; figure: string; note: string }[] = [
  { title: "Image squared error", stage: "stage1", figure: "imageMse", note: "stage 1, held out" },
  { title: "Image perplexity", stage: "stage1", figure: "imagePerplexity", note: "stage 1, held out" },
  { title: "Bits a token", stage: "stage2", figure: "bits", note: "stage 2, held out" },
];

function curves({ arms }: AblationPlan, runs: readonly PlannedRun[]): string {
  const charts = CURVES.map(({ title, stage, figure, note }): Chart => {
    const series = arms.map((arm, i): Series => {
      const ofArm = runs.filter((run) => run.arm === arm).map((run) => curveOf(openRun(run.path), stage, figure));
      return { split: `run${i}`, points: meanCurve(ofArm) };
    });
    return { title, note, series };
  });
  const legend = arms.map((arm, i) => `<span class="run${i}">${escapeHtml(ARMS[arm].title)}</span>`).join("");
  const drawn = charts.map(chart).join("");
  return `<h2>Curves, means over seeds</h2><p class="legend">${legend}</p><div class="charts">${drawn}</div>`;
}

/** Means at the steps that any of the curves has. */
function meanCurve(curvesOfSeeds: readonly (readonly (readonly [number, number])[])[]): [number, number][] {
  const at = new Map<number, number[]>();
  for (const [step, value] of curvesOfSeeds.flat()) at.set(step, [...(at.get(step) ?? []), value]);
  return [...at].sort(([a], [b]) => a - b).map(([step, values]) => [step, spreadOf(values)!.mean]);
}
