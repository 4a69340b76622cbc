import { ARMS, type ArmName, type Comparison } from "./arms.ts";
import type { Criterion, FigureValues } from "./figures.ts";

/** Mean and spread over seeds. */
export interface Spread {
  readonly mean: number;
  /** Standard deviation, of a sample (n − 1); `null` for one value. */
  readonly deviation: number | null;
  readonly count: number;
}

/** One run with what came of it. */
export interface ScoredRun {
  readonly arm: ArmName;
  readonly seed: number;
  readonly figures: FigureValues;
}

/** A figure of an arm. */
export interface Entry extends Spread {
  /** Relative to the first arm of the comparison, seed by seed: `value / reference − 1`. `null` for the first arm itself. */
  readonly change: Spread | null;
}

export interface ArmSummary {
  readonly arm: ArmName;
  readonly title: string;
  /** By name of figure; those that no run has are left out. */
  readonly figures: Readonly<Record<string, Entry>>;
}

export interface ComparisonSummary {
  readonly title: string;
  readonly arms: readonly ArmSummary[];
}

export function spreadOf(values: readonly number[]): Spread | null {
  const count = values.length;
  if (count === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: count < 2 ? null : Math.sqrt(squares / (count - 1)), count };
}

/** A comparison of the arms that were run; none if fewer than two were. */
export function summarize(
  { title, arms }: Comparison,
  figures: readonly Criterion[],
  runs: readonly ScoredRun[],
): ComparisonSummary | null {
  const present = arms.filter((arm) => runs.some((run) => run.arm === arm));
  const [reference] = present;
  if (reference === undefined || present.length < 2) return null;
  return {
    title,
    arms: present.map((arm) => ({
      arm,
      title: ARMS[arm].title,
      figures: Object.fromEntries(
        figures.flatMap(({ name }) => {
          const entry = entryOf(name, arm, reference, runs);
          return entry === null ? [] : [[name, entry]];
        }),
      ),
    })),
  };
}

function entryOf(figure: string, arm: ArmName, reference: ArmName, runs: readonly ScoredRun[]): Entry | null {
  const own = valuesOf(figure, arm, runs);
  const spread = spreadOf([...own.values()]);
  if (spread === null) return null;
  if (arm === reference) return { ...spread, change: null };
  const others = valuesOf(figure, reference, runs);
  // Runs of one seed share data order and initial weights, so that their difference varies less than either.
  const changes = [...own].flatMap(([seed, value]) => {
    const base = others.get(seed);
    return base === undefined || base === 0 ? [] : [value / base - 1];
  });
  return { ...spread, change: spreadOf(changes) };
}

function valuesOf(figure: string, arm: ArmName, runs: readonly ScoredRun[]): Map<number, number> {
  return new Map(
    runs.flatMap((run): [number, number][] => {
      const value = run.figures[figure];
      return run.arm === arm && value !== undefined && Number.isFinite(value) ? [[run.seed, value]] : [];
    }),
  );
}
