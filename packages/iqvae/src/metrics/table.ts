import type { Figure, RunScore } from "./run-score.ts";

/**
 * The figures of a run in columns: name, the run, another run if there is one, real images in the place of the drawn.
 *
 * @param other another run's score, from comparable settings
 */
export function scoreTable(score: RunScore, other?: RunScore): string {
  const { settings, run } = score;
  const head = ["", run, ...(other === undefined ? [] : [other.run, "change"]), "real images"];
  const rows = score.figures.map((figure) => rowOf(figure, other));
  const table = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...table.map((row) => row[i]!.length)));
  const lines = table.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))),
  );
  const images = `${settings.conditions} conditions × ${settings.samples} images, ${settings.size} px, seed ${settings.seed}, part ${settings.part}`;
  return [images, ...lines.map((cells) => cells.join("  ").trimEnd())].join("\n");
}

const ARROWS = { lower: "↓", higher: "↑" } as const;

function rowOf({ key, label, value, real, better }: Figure, other: RunScore | undefined): string[] {
  const beside = other?.figures.find((figure) => figure.key === key)?.value;
  const compared = other === undefined ? [] : [shown(beside), change(value, beside)];
  return [`${label} ${ARROWS[better]}`, shown(value), ...compared, shown(real ?? undefined)];
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
