import type { Comparison } from "./arms.ts";
import type { Criterion } from "./figures.ts";
import { EXCESS } from "./score.ts";
import type { ScoredRun } from "./summary.ts";

const STEPS = "steps.";

/** Columns for {@link withSpeed}, where runs were scored at several steps. */
export function speedColumns(figures: readonly Criterion[]): Criterion[] {
  const judges = figures.flatMap(({ name }) => (name.startsWith(EXCESS) ? [name.slice(EXCESS.length)] : []));
  return judges.map((judge) => ({
    name: STEPS + judge,
    title: `steps of stage 2 to what the first column has at the end (${judge}, total above its floor)`,
    better: "lower",
    digits: 0,
    isCensored: true,
  }));
}

/**
 * The runs of a comparison; those at the last step also with how many steps of stage 2 took them to the excess that the first arm
 * has at the end with the same seed. A run that never comes there has no such figure.
 */
export function withSpeed({ arms: [first] }: Comparison, runs: readonly ScoredRun[]): ScoredRun[] {
  const last = Math.max(...runs.map(({ step }) => step));
  return runs.map((run): ScoredRun => {
    const target = runs.find(({ arm, seed, step }) => arm === first && seed === run.seed && step === last);
    const own = runs.filter(({ arm, seed }) => arm === run.arm && seed === run.seed);
    if (run.step !== last || own.length < 2 || target === undefined) return run;
    const steps = Object.entries(target.figures).flatMap(([name, value]): [string, number][] => {
      if (!name.startsWith(EXCESS)) return [];
      const curve = own.map(({ step, figures }) => [step, figures[name] ?? Number.NaN] as const);
      const reached = stepsTo(value, curve);
      return reached === null ? [] : [[STEPS + name.slice(EXCESS.length), reached]];
    });
    return { ...run, figures: { ...run.figures, ...Object.fromEntries(steps) } };
  });
}

/**
 * After how many steps a falling curve comes to a value, between points on a straight line of logarithms.
 *
 * @param curve in the order of steps
 * @returns the first step, if the value is reached by then: no more is known; `null` if it is never reached
 */
export function stepsTo(value: number, curve: readonly (readonly [step: number, value: number])[]): number | null {
  const at = curve.findIndex(([, point]) => point <= value);
  if (at < 0) return null;
  const [step, end] = curve[at]!;
  const [before, start] = curve[at - 1] ?? [step, end];
  // Logarithms need values above 0; a curve that comes below has come there by this step.
  if (start === end || end <= 0) return step;
  const share = Math.log(start / value) / Math.log(start / end);
  return before * (step / before) ** share;
}
