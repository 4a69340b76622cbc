import type { Figure, RunScore } from "./run-score.ts";
import { TRIPLE } from "./triple.ts";

/**
 * The triples of a run, and of another if there is one, then the other figures in columns: name, the run, another run, real images in
 * the place of the drawn.
 *
 * @param other another run's score, from comparable settings
 */
export function scoreTable(score: RunScore, other?: RunScore): string {
  const { settings, run } = score;
  const images = `${settings.conditions} conditions × ${settings.samples} images, ${settings.size} px, seed ${settings.seed}, part ${settings.part}`;
  const triples = other === undefined ? triplesOf(score) : [...triplesOf(score), ...triplesOf(other)];
  const head = ["", run, ...(other === undefined ? [] : [other.run, "change"]), "real images"];
  const rows = score.figures.filter(({ key }) => !key.startsWith(TRIPLE)).map((figure) => rowOf(figure, other));
  const parts = [...(triples.length === 0 ? [] : [[TRIPLE_HEAD, ...triples]]), [head, ...rows]];
  return [images, ...parts.flatMap(aligned)].join("\n");
}

/** Cells under each other, the first column to the left. */
function aligned(table: readonly (readonly string[])[]): string[] {
  const widths = table[0]!.map((_, i) => Math.max(...table.map((row) => row[i]!.length)));
  return table.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
}

/** What the cells of {@link triplesOf} are. */
export const TRIPLE_HEAD = ["Fréchet distance [floor] ↓", "reconstruction", "gap", "total", "stage 1's share"];

/** A line for each judge of a run: its name and that of the run; reconstruction, gap and total with their floors; stage 1's share. */
export function triplesOf({ run, figures }: Pick<RunScore, "run" | "figures">): string[][] {
  const of = (part: string, judge: string) => figures.find(({ key }) => key === `${TRIPLE}${part}.${judge}`);
  const total = `${TRIPLE}total.`;
  const judges = figures.flatMap(({ key }) => (key.startsWith(total) ? [key.slice(total.length)] : []));
  return judges.map((judge) => {
    const cells = ["reconstruction", "gap", "total"].map((part) => {
      const figure = of(part, judge);
      return `${shown(figure?.value)} [${shown(figure?.real ?? undefined)}]`;
    });
    const share = of("stage1Share", judge);
    return [`${judge}, ${run}`, ...cells, share === undefined ? "–" : `${(100 * share.value).toFixed(0)} %`];
  });
}

const ARROWS = { lower: " ↓", higher: " ↑" } as const;

function rowOf({ key, label, value, real, better }: Figure, other: RunScore | undefined): string[] {
  const beside = other?.figures.find((figure) => figure.key === key)?.value;
  const compared = other === undefined ? [] : [shown(beside), change(value, beside)];
  return [`${label}${better === null ? "" : ARROWS[better]}`, shown(value), ...compared, shown(real ?? undefined)];
}

function shown(value: number | undefined): string {
  if (value === undefined) return "–";
  return Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(4);
}

/** How the first run differs from the other, as a share of the other. */
function change(value: number, beside: number | undefined): string {
  if (beside === undefined || beside === 0) return "–";
  const percent = (100 * (value - beside)) / Math.abs(beside);
  return `${percent >= 0 ? "+" : "−"}${Math.abs(percent).toFixed(1)} %`;
}
