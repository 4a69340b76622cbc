import { ARMS, type ArmName, type Comparison } from "./arms.ts";
import type { Criterion, FigureValues } from "./figures.ts";
import { intervalOf } from "./interval.ts";

/** Mean and spread over seeds. */
export interface Spread {
  readonly mean: number;
  /** Standard deviation, of a sample (n − 1); `null` for one value. */
  readonly deviation: number | null;
  readonly count: number;
}

/** One run with what came of it, after so many steps of stage 2. */
export interface ScoredRun {
  readonly arm: ArmName;
  readonly seed: number;
  readonly step: number;
  readonly figures: FigureValues;
}

/** A difference, seed by seed. */
export interface Change extends Spread {
  /** Of the mean, 95 %; `null` for one seed. */
  readonly interval: readonly [low: number, high: number] | null;
}

/** A figure of an arm. */
export interface Entry extends Spread {
  /**
   * Relative to the first arm of the comparison, seed by seed: `value / reference − 1`. `null` for the first arm itself, and where
   * there is no common seed, the reference may as well be 0, or a run never came to where the figure is taken: a mean over those that
   * did would be the better for every one that did not.
   */
  readonly change: Change | null;
}

export interface ArmSummary {
  readonly arm: ArmName;
  readonly title: string;
  readonly seeds: readonly number[];
  /** By name of figure; those that no run has are left out. */
  readonly figures: Readonly<Record<string, Entry>>;
}

export interface ComparisonSummary {
  readonly title: string;
  readonly step: number;
  readonly arms: readonly ArmSummary[];
}

export function spreadOf(values: readonly number[]): Spread | null {
  const count = values.length;
  if (count === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: count < 2 ? null : Math.sqrt(squares / (count - 1)), count };
}

/** A comparison of the arms that were run, as they were after a step of stage 2; none if fewer than two of several were. */
export function summarize(
  { title, arms }: Comparison,
  figures: readonly Criterion[],
  all: readonly ScoredRun[],
  step: number,
): ComparisonSummary | null {
  const runs = all.filter((run) => run.step === step);
  const present = arms.filter((arm) => runs.some((run) => run.arm === arm));
  const [reference] = present;
  if (reference === undefined || present.length < Math.min(2, arms.length)) return null;
  return {
    title,
    step,
    arms: present.map((arm) => ({
      arm,
      title: ARMS[arm].title,
      seeds: runs.flatMap((run) => (run.arm === arm ? [run.seed] : [])),
      figures: Object.fromEntries(
        figures.flatMap((figure) => {
          const entry = entryOf(figure, arm, reference, runs);
          return entry === null ? [] : [[figure.name, entry]];
        }),
      ),
    })),
  };
}

function entryOf(
  { name, isExcess = false, isCensored = false }: Criterion,
  arm: ArmName,
  reference: ArmName,
  runs: readonly ScoredRun[],
): Entry | null {
  const own = valuesOf(name, arm, runs);
  const spread = spreadOf([...own.values()]);
  if (spread === null) return null;
  if (arm === reference) return { ...spread, change: null };
  const others = valuesOf(name, reference, runs);
  const isMissing = (run: ScoredRun) => run.arm === arm && others.has(run.seed) && !own.has(run.seed);
  if (isCensored && runs.some(isMissing)) return { ...spread, change: null };
  if (!isScale([...others.values()], isExcess)) return { ...spread, change: null };
  // Runs of one seed share data order and initial weights, so that their difference varies less than either.
  const changes = [...own].flatMap(([seed, value]) => {
    const base = others.get(seed);
    return base === undefined ? [] : [value / base - 1];
  });
  const change = spreadOf(changes);
  return { ...spread, change: change && { ...change, interval: intervalOf(change) } };
}

/** An excess above a floor may be 0 or less by chance, and nothing can be said relative to that, whatever single seeds are. */
function isScale(references: readonly number[], isExcess: boolean): boolean {
  const spread = spreadOf(references);
  if (spread === null || references.some((value) => value <= 0)) return false;
  return !isExcess || spread.mean > 2 * (spread.deviation ?? 0);
}

function valuesOf(figure: string, arm: ArmName, runs: readonly ScoredRun[]): Map<number, number> {
  return new Map(
    runs.flatMap((run): [number, number][] => {
      const value = run.figures[figure];
      return run.arm === arm && value !== undefined && Number.isFinite(value) ? [[run.seed, value]] : [];
    }),
  );
}
