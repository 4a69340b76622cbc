import type { Config } from "../config/index.ts";
import { plan } from "../plan/plan.ts";

/** What a training is to take at most, in seconds of steps: with set-up, data and pictures a first start ends within twelve minutes. */
export const PATIENCE = 420;
/** Evaluations, pictures and other work on the machine, as a share of the steps' own time. */
const BESIDES = 1.15;
/** The least share of a preset's steps: less of a training shows nothing of what the method can do. */
const LEAST = 0.2;

/** Seconds of one step of each stage. */
export interface StepSeconds {
  readonly stage1: number;
  readonly stage2: number;
}

/**
 * Fewer steps of both stages, in the same proportion, where a training would take longer than {@link PATIENCE}.
 *
 * @returns the configuration as it is where the machine is fast enough, and the estimate of its steps in seconds
 */
export function fitted(config: Config, each: StepSeconds): { config: Config; seconds: number } {
  const { stage1, stage2 } = config;
  const seconds = BESIDES * (stage1.steps * each.stage1 + stage2.steps * each.stage2);
  const share = Math.max(LEAST, Math.min(1, PATIENCE / seconds));
  if (share === 1) return { config, seconds };
  const fewer = (steps: number) => Math.max(1, Math.round((share * steps) / 10) * 10);
  return {
    config: {
      ...config,
      stage1: { ...stage1, steps: fewer(stage1.steps) },
      stage2: { ...stage2, steps: fewer(stage2.steps) },
    },
    seconds: share * seconds,
  };
}

/** Times a step of each stage on this machine, in some seconds; `undefined` where the memory for it is not free. */
export function stepSeconds(config: Config): StepSeconds | undefined {
  const { stage1, stage2 } = plan(config, { measure: true, utilization: 1 });
  return stage1.here === undefined || stage2.here === undefined
    ? undefined
    : { stage1: stage1.here, stage2: stage2.here };
}
