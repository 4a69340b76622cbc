import { escapeHtml } from "./html.ts";

/** One line of a chart. */
export interface Series {
  /** Chooses the color: of a split, or of a run that is compared with others. */
  readonly split: "train" | "validation" | `run${number}`;
  /** Steps and values, steps ascending. */
  readonly points: readonly (readonly [step: number, value: number])[];
}

export interface Chart {
  readonly title: string;
  /** What the values are measured in or against; shown beside the title. */
  readonly note?: string;
  readonly series: readonly Series[];
}

const WIDTH = 340;
const HEIGHT = 190;
/** On the left at least; long labels take more. */
const MARGIN = { left: 48, right: 12, top: 10, bottom: 24 };
const LABEL_GAP = 8;
/** The width of a digit of a label. */
const CHARACTER = 6;
/** A scale in powers of ten is easier to read once values span this ratio. */
const LOG_FROM = 30;
/** More points than pixels only make the file large. */
const MOST_POINTS = 400;

/** A line chart as inline SVG; colors come from the page's style sheet. */
export function chart({ title, note, series }: Chart): string {
  const drawn = series.map(({ split, points }) => ({
    split,
    points: thin(points.filter(([, y]) => Number.isFinite(y))),
  }));
  const all = drawn.flatMap(({ points }) => points);
  if (all.length === 0) return "";
  const steps = all.map(([step]) => step);
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  const scale = verticalScale(all.map(([, value]) => value));
  const left = Math.max(MARGIN.left, LABEL_GAP + CHARACTER * Math.max(...scale.ticks.map(({ label }) => label.length)));
  const x = (step: number) => left + ((step - first) / Math.max(1, last - first)) * (WIDTH - left - MARGIN.right);
  const y = (value: number) => MARGIN.top + (1 - scale.share(value)) * (HEIGHT - MARGIN.top - MARGIN.bottom);

  const grid = scale.ticks.map(({ value, label }) => {
    const at = y(value).toFixed(1);
    return (
      `<line class="grid" x1="${left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}"/>` +
      `<text class="tick" x="${left - 6}" y="${at}" dy="0.32em" text-anchor="end">${label}</text>`
    );
  });
  const ends = first === last ? [[first, "middle"] as const] : [[first, "start"] as const, [last, "end"] as const];
  const axis = ends.map(
    ([step, anchor]) =>
      `<text class="tick" x="${x(step).toFixed(1)}" y="${HEIGHT - 6}" text-anchor="${anchor}">${step.toLocaleString("en")}</text>`,
  );
  const lines = drawn.map(({ split, points }) => line(split, points, x, y));
  const newest = drawn.flatMap(({ split, points }) => {
    const value = points.at(-1)?.[1];
    return value === undefined ? [] : [`<span class="${split}">${figure(value)}</span>`];
  });
  return (
    `<figure class="chart"><figcaption><b>${escapeHtml(title)}</b>` +
    `${note === undefined ? "" : ` <i>${escapeHtml(note)}</i>`}<span class="newest">${newest.join("")}</span></figcaption>` +
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)} by step">` +
    `${grid.join("")}${axis.join("")}${lines.join("")}</svg></figure>`
  );
}

function line(split: string, points: Series["points"], x: (step: number) => number, y: (value: number) => number) {
  const path = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`);
  const end = points.at(-1);
  if (end === undefined) return "";
  const dot = `<circle class="${split}" cx="${x(end[0]).toFixed(1)}" cy="${y(end[1]).toFixed(1)}" r="2.5"/>`;
  return `<polyline class="${split}" points="${path.join(" ")}"/>${dot}`;
}

/** Means of neighbors, so that no more than {@link MOST_POINTS} are left; the last point stays as it is. */
function thin(points: Series["points"]): Series["points"] {
  const group = Math.ceil(points.length / MOST_POINTS);
  if (group <= 1) return points;
  const thinned: [number, number][] = [];
  for (let i = 0; i < points.length - 1; i += group) {
    const some = points.slice(i, Math.min(i + group, points.length - 1));
    const mean = (pick: 0 | 1) => some.reduce((sum, point) => sum + point[pick], 0) / some.length;
    thinned.push([Math.round(mean(0)), mean(1)]);
  }
  return [...thinned, points.at(-1)!];
}

interface Scale {
  /** Where a value lies between the bottom, 0, and the top, 1. */
  share(value: number): number;
  readonly ticks: readonly { readonly value: number; readonly label: string }[];
}

function verticalScale(values: readonly number[]): Scale {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (low > 0 && high / low > LOG_FROM) return logScale(low, high);
  // Values that differ by less than a float32 can tell are drawn as a flat line.
  const least = Math.max(1e-7 * Math.max(Math.abs(low), Math.abs(high)), 1e-12);
  return high - low < least ? flatScale((low + high) / 2, least) : linearScale(low, high);
}

function flatScale(middle: number, span: number): Scale {
  return { share: (value) => 0.5 + (value - middle) / span / 2, ticks: [{ value: middle, label: figure(middle) }] };
}

function linearScale(low: number, high: number): Scale {
  const step = niceStep((high - low) / 4);
  // 2e-4 / 5e-5 is a little more than 4, and needs no fifth step.
  const [first, last] = [Math.floor(low / step + 1e-9), Math.ceil(high / step - 1e-9)];
  const largest = Math.max(Math.abs(first), Math.abs(last)) * step;
  return {
    share: (value) => (value / step - first) / (last - first),
    ticks: Array.from({ length: last - first + 1 }, (_, i) => {
      const value = (first + i) * step;
      return { value, label: tickLabel(value, step, largest) };
    }),
  };
}

function logScale(low: number, high: number): Scale {
  const [bottom, top] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  return {
    share: (value) => (Math.log10(value) - bottom) / (top - bottom),
    ticks: Array.from({ length: top - bottom + 1 }, (_, i) => {
      const value = 10 ** (bottom + i);
      return { value, label: figure(value) };
    }),
  };
}

/** A tick with the decimals of its step, so that no two of a scale read alike. */
function tickLabel(value: number, step: number, largest: number): string {
  if (value === 0) return "0";
  const place = placeOf(step);
  if (isPlain(largest)) return value.toFixed(Math.max(0, -place));
  return exponential(value, Math.max(0, placeOf(value) - place));
}

/** The power of ten of a number's first digit. */
function placeOf(value: number): number {
  return Number(value.toExponential(6).split("e")[1]);
}

/** 1, 2 or 5 times a power of ten, at least `step`. */
function niceStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].map((factor) => factor * power).find((nice) => nice >= step * 0.999) ?? step;
}

/** A number in few characters. */
export function figure(value: number): string {
  if (value === 0) return "0";
  return isPlain(Math.abs(value)) ? String(Number(value.toPrecision(3))) : exponential(value, 1);
}

/** Whether a number of this size is short without an exponent. */
function isPlain(size: number): boolean {
  return size >= 1e-3 && size < 1e5;
}

/** Without zeros that say nothing: `2e7`, not `2.0e+7`. */
function exponential(value: number, digits: number): string {
  return value
    .toExponential(digits)
    .replace(/\.?0*e/, "e")
    .replace("e+", "e");
}
