import { ARM_NAMES, type ArmName, COMPARISON_NAMES, COMPARISONS, type Comparison } from "./arms.ts";
import type { Criterion } from "./figures.ts";
import { withSpeed } from "./speed.ts";
import { type ComparisonSummary, type ScoredRun, summarize } from "./summary.ts";

/** What is compared of the runs that there are, after each of the steps. */
export function comparisonsOf(scored: readonly ScoredRun[], figures: readonly Criterion[]): ComparisonSummary[] {
  const comparisons = withArms(new Set(scored.map(({ arm }) => arm)));
  const steps = [...new Set(scored.map(({ step }) => step))].sort((a, b) => a - b);
  return comparisons.flatMap((comparison) => {
    const runs = withSpeed(comparison, scored);
    return steps.flatMap((step) => summarize(comparison, figures, runs, step) ?? []);
  });
}

/**
 * The questions that at least two of the arms answer; those alone that have arms together which no earlier one has. Where an arm
 * stands in none of them, all are compared with the first as well.
 */
function withArms(run: ReadonlySet<ArmName>): Comparison[] {
  const presentIn = ({ arms }: Comparison) => arms.filter((arm) => run.has(arm));
  const named = COMPARISON_NAMES.map((name): Comparison => COMPARISONS[name]).filter((comparison, i, all) => {
    const present = presentIn(comparison);
    const isSaid = (earlier: Comparison) => present.every((arm) => earlier.arms.includes(arm));
    return present.length > 1 && !all.slice(0, i).some(isSaid);
  });
  const [first, ...others] = ARM_NAMES.filter((arm) => run.has(arm));
  const isShown = (arm: ArmName) => named.some((comparison) => comparison.arms.includes(arm));
  if (first === undefined || [first, ...others].every(isShown)) return named;
  return [...named, { title: "All arms", arms: [first, ...others] }];
}
