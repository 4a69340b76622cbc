import { flat } from "../run/basis.ts";
import { readMetrics } from "../run/metrics-log.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { STAGES, type Stage } from "../support/trainer.ts";
import { type Chart, chart, figure, type Series } from "./chart.ts";
import { escapeHtml, page } from "./html.ts";
import { COLORS, runStyle } from "./palette.ts";
import { describeData, noteOf, picture, STAGE_NAMES, settingText, titleOf } from "./report.ts";
import { STYLE } from "./style.ts";
import { triples } from "./triples.ts";

/**
 * Several runs as one HTML file that needs nothing else: what their configurations differ in, held-out figures, curves over one
 * another, and pictures of the same conditions.
 *
 * @param samples a PNG of what each run draws for the same held-out conditions
 * @throws RangeError for more runs than there are colors, or fewer than two
 */
export function compareReport(runs: readonly RunFolder[], samples?: Uint8Array): string {
  if (runs.length < 2 || runs.length > COLORS.length)
    throw new RangeError(`A comparison takes 2 to ${COLORS.length} runs, but got ${runs.length}.`);
  const columns = runs.map(
    (run, i): Column => ({
      name: run.path,
      color: `run${i}`,
      run,
      figures: heldOutFigures(run),
    }),
  );
  const body = [
    `<h1>${runs.length} runs</h1>`,
    `<p class="soft">${[...new Set(runs.map(({ config }) => describeData(config)))].map(escapeHtml).join("; ")}</p>`,
    legend(columns),
    `<h2>Where they differ</h2>${differences(columns)}`,
    `<h2>Held-out figures at the end</h2>${finalFigures(columns)}`,
    triples(runs),
    picture("Samples", "The same held-out conditions and random seeds for all.", samples),
    ...STAGES.map((stage) => curves(stage, columns)),
  ];
  return page(`${runs.length} runs`, STYLE + runStyle(runs.length), body);
}

/** A run in the comparison. */
interface Column {
  readonly name: string;
  readonly color: `run${number}`;
  readonly run: RunFolder;
  /** By stage, by figure: steps and values. */
  readonly figures: ReadonlyMap<Stage, ReadonlyMap<string, [number, number][]>>;
}

function heldOutFigures(run: RunFolder): Column["figures"] {
  const stages = new Map(STAGES.map((stage) => [stage, new Map<string, [number, number][]>()]));
  for (const { stage, step, split, ...figures } of readMetrics(run.log.path)) {
    if (split !== "validation") continue;
    const mine = stages.get(stage)!;
    for (const [name, value] of Object.entries(figures)) {
      if (typeof value !== "number") continue;
      const points = mine.get(name);
      if (points === undefined) mine.set(name, [[step, value]]);
      else points.push([step, value]);
    }
  }
  return stages;
}

function legend(columns: readonly Column[]): string {
  const entries = columns.map(({ name, color }) => `<span class="${color}">${escapeHtml(name)}</span>`);
  return `<p class="legend">${entries.join("")}</p>`;
}

/** A table with a column for each run. */
function columnsTable(columns: readonly Column[], rows: readonly (readonly [string, readonly string[]])[]): string {
  const head = columns.map(({ name, color }) => `<th class="${color}">${escapeHtml(name)}</th>`).join("");
  const body = rows.map(
    ([name, cells]) =>
      `<tr><th>${escapeHtml(name)}</th>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join("")}</tr>`,
  );
  return `<table><tr><th></th>${head}</tr>${body.join("")}</table>`;
}

/** The values of the configurations that are not alike in all runs. */
function differences(columns: readonly Column[]): string {
  const configs = columns.map(({ run }) => flat(run.config));
  const keys = new Set(configs.flatMap((config) => Object.keys(config)));
  const differs = (key: string) => new Set(configs.map((config) => JSON.stringify(config[key]))).size > 1;
  const rows = [...keys]
    .filter((key) => key !== "name" && differs(key))
    .map((key) => [key, configs.map((config) => (key in config ? settingText(config[key]) : "–"))] as const);
  return rows.length === 0 ? `<p class="soft">Nowhere but in the name.</p>` : columnsTable(columns, rows);
}

function namesOf(stage: Stage, columns: readonly Column[]): string[] {
  return [...new Set(columns.flatMap(({ figures }) => [...figures.get(stage)!.keys()]))];
}

function finalFigures(columns: readonly Column[]): string {
  const rows = STAGES.flatMap((stage) =>
    namesOf(stage, columns).map((name) => {
      const cells = columns.map(({ figures }) => {
        const last = figures.get(stage)!.get(name)?.at(-1);
        return last === undefined ? "–" : `${figure(last[1])} (step ${last[0].toLocaleString("en")})`;
      });
      return [`${stage.replace("stage", "stage ")}: ${titleOf(name)}`, cells] as const;
    }),
  );
  return rows.length === 0 ? `<p class="soft">None yet.</p>` : columnsTable(columns, rows);
}

function curves(stage: Stage, columns: readonly Column[]): string {
  const charts = namesOf(stage, columns).map((name) => {
    const notes = new Set(columns.map(({ run }) => noteOf(name, run.config)));
    const [note] = notes;
    const series = columns.map(
      ({ color, figures }): Series => ({ split: color, points: figures.get(stage)!.get(name) ?? [] }),
    );
    // A note that holds for some runs only would mislead.
    const described: Chart = {
      title: titleOf(name),
      series,
      ...(notes.size === 1 && note !== undefined ? { note } : {}),
    };
    return chart(described);
  });
  if (charts.length === 0) return "";
  return `<h2>${STAGE_NAMES[stage]}, held out</h2>${legend(columns)}<div class="charts">${charts.join("")}</div>`;
}
