import { TRIPLE } from "../metrics/triple.ts";
import { escapeHtml } from "../report/html.ts";
import type { Criterion } from "./figures.ts";
import { EXCESS, TOTAL } from "./score.ts";
import type { ArmSummary, ComparisonSummary, Entry } from "./summary.ts";

/** `12.34 ± 0.05`, without the spread where there is none. */
export function plusMinus({ mean, deviation }: Entry, digits: number): string {
  return deviation === null ? mean.toFixed(digits) : `${mean.toFixed(digits)} ± ${deviation.toFixed(digits)}`;
}

/** `−4.1 % [−6.0, −2.2]`, empty for the arm that the others are compared with. */
export function changeOf({ change }: Entry): string {
  if (change === null) return "";
  const text = `${signed(change.mean)} %`;
  return change.interval === null ? text : `${text} [${change.interval.map(signed).join(", ")}]`;
}

/** In percent. */
function signed(share: number): string {
  const text = Math.abs(100 * share).toFixed(1);
  return `${share < 0 ? "−" : "+"}${text}`;
}

/** Titles say which way is better. */
export function headingOf({ title, better }: Criterion): string {
  return better === null ? title : `${title} ${better === "lower" ? "↓" : "↑"}`;
}

/** A comparison as a table in Markdown: a figure a row, an arm a column. */
export function markdownTable({ arms }: ComparisonSummary, figures: readonly Criterion[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rows = shownIn(arms, figures).map((figure) =>
    line([headingOf(figure), ...arms.map((arm) => cell(arm, figure, " "))]),
  );
  const head = `| | ${arms.map(({ title }) => title).join(" | ")} |`;
  const seeds = line(["seeds", ...arms.map(({ seeds }) => seeds.join(", "))]);
  return [head, line(["---", ...arms.map(() => "---")]), seeds, ...rows].join("\n");
}

/**
 * What each stage costs by each judge, always all of it: an arm a row. The last column but one is what arms are compared by.
 *
 * @returns a table in Markdown for each judge, with its floor
 */
export function tripleTables({ arms }: ComparisonSummary, figures: readonly Criterion[]): string {
  const totals = figures.filter(({ name }) => name.startsWith(TOTAL));
  const tables = totals.map(({ name, floor }) => {
    const judge = name.slice(TOTAL.length);
    const columns = [
      { title: "reconstruction", name: `${TRIPLE}reconstruction.${judge}`, better: null, digits: 3 },
      { title: "gap", name: `${TRIPLE}gap.${judge}`, better: "lower", digits: 3 },
      { title: "floor of the gap", name: `${TRIPLE}gap.${judge}.floor`, better: null, digits: 3 },
      { title: "total", name, better: null, digits: 3 },
      { title: "total above its floor", name: EXCESS + judge, better: "lower", digits: 3 },
      { title: "stage 1's share", name: `${TRIPLE}stage1Share.${judge}`, better: null, digits: 2 },
    ] as const;
    const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
    const floors = floor === undefined ? "" : `, floor of reconstruction and total ${Number(floor.toPrecision(3))}`;
    const rows = arms.map((arm) => line([arm.title, ...columns.map((column) => cell(arm, column, " "))]));
    const head = line([`Fréchet distance by ${judge}${floors}`, ...columns.map(headingOf)]);
    return [head, line(["---", ...columns.map(() => "---")]), ...rows].join("\n");
  });
  return tables.join("\n\n");
}

/** {@link markdownTable} in HTML. */
export function htmlTable({ arms }: ComparisonSummary, figures: readonly Criterion[]): string {
  const head = ["", ...arms.map(({ title }) => title)].map((text) => `<th>${escapeHtml(text)}</th>`).join("");
  const rows = shownIn(arms, figures).map((figure) => {
    const cells = arms.map((arm) => `<td>${cell(arm, figure, "<br>")}</td>`);
    return `<tr><th>${escapeHtml(headingOf(figure))}</th>${cells.join("")}</tr>`;
  });
  const seeds = arms.map((arm) => `<td>${arm.seeds.join(", ")}</td>`).join("");
  return `<div class="wide"><table><tr>${head}</tr><tr><th>seeds</th>${seeds}</tr>${rows.join("")}</table></div>`;
}

function shownIn(arms: readonly ArmSummary[], figures: readonly Criterion[]): Criterion[] {
  return figures.filter(({ name }) => arms.some((arm) => arm.figures[name] !== undefined));
}

function cell(arm: ArmSummary, { name, better, digits }: Criterion, between: string): string {
  const entry = arm.figures[name];
  if (entry === undefined) return "–";
  // A floor or a share is no better for being lower, nor is it a scale.
  const change = better === null ? "" : changeOf(entry);
  const { length } = arm.seeds;
  const count = entry.count < length ? `${entry.count} of ${length} seeds` : "";
  const aside = [change, count].filter((part) => part !== "").join("; ");
  return aside === "" ? plusMinus(entry, digits) : `${plusMinus(entry, digits)}${between}(${aside})`;
}
