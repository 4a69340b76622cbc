import { freemem } from "node:os";
import type { Config } from "../config/index.ts";
import { type StepCost, stage1Cost, stage2Cost } from "./cost.ts";
import { stage1Trial, stage2Trial } from "./made-up.ts";
import { type StepTime, timeSteps } from "./measure.ts";

/** Operations a second of an H100 SXM in bfloat16, dense (NVIDIA's data sheet). */
export const H100 = 989e12;

/** What a stage costs and how long a step of it takes. */
export interface StagePlan extends StepCost {
  /** Seconds of a step on this machine; `undefined` when it was not measured. */
  readonly here: number | undefined;
  /** Seconds of a step on an H100 at the given share of its peak in bfloat16, whatever the configuration computes in here. */
  readonly h100: number;
}

export interface Plan {
  readonly stage1: StagePlan;
  readonly stage2: StagePlan;
  /** Why nothing was measured, if it was wanted. */
  readonly unmeasured: string | undefined;
}

/**
 * Works out what a training costs.
 *
 * @param options.measure whether to time steps on this machine
 * @param options.utilization share of the H100's peak in bfloat16 that is reached, in `(0, 1]`
 */
export function plan(config: Config, { measure, utilization }: { measure: boolean; utilization: number }): Plan {
  const [first, second] = [stage1Cost(config), stage2Cost(config)];
  const needed = measure ? neededHere(config) : 0;
  const fits = needed < freemem();
  const stage = (cost: StepCost, here: number | undefined): StagePlan => ({
    ...cost,
    here,
    h100: cost.operations / (H100 * utilization),
  });
  return {
    stage1: stage(first, measure && fits ? stage1Seconds(config) : undefined),
    stage2: stage(second, measure && fits ? stage2Seconds(config, second) : undefined),
    unmeasured: fits
      ? undefined
      : `a step of two rows needs ${gigabytes(needed)}, but ${gigabytes(freemem())} are free`,
  };
}

export function gigabytes(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Bytes of what is timed at least. */
function neededHere(config: Config): number {
  const small = { ...config, stage1: { ...config.stage1, batch: 2 } };
  return Math.max(stage1Cost(small).processBytes, stage2Cost(withLayers(small, 2, 2)).processBytes);
}

function stage1Seconds(config: Config): number {
  const trial = stage1Trial(config);
  const { fixed, each } = timeSteps(trial, config.stage1.batch);
  trial.dispose();
  return fixed + each * config.stage1.batch;
}

/** From transformers of one layer and of two, whose difference is a layer; second passes cost what their operations say. */
function stage2Seconds(config: Config, { operations }: StepCost): number {
  const { model, batch, accumulate } = config.stage2;
  const [one, two] = [1, 2].map((layers) => {
    const trial = stage2Trial(withLayers(config, layers, batch));
    const time = timeSteps(trial, batch);
    trial.dispose();
    return time;
  });
  const whole = (part: keyof StepTime) => one![part] + (model.layers - 1) * Math.max(0, two![part] - one![part]);
  const once = stage2Cost({ ...config, stage2: { ...config.stage2, exposure: { kind: "teacher" } } }).operations;
  return whole("fixed") + whole("each") * batch * accumulate * (operations / once);
}

/** Stage 2 with so many layers, in one pass, on true tokens. */
function withLayers(config: Config, layers: number, batch: number): Config {
  const { stage2 } = config;
  const model = { ...stage2.model, layers };
  return { ...config, stage2: { ...stage2, model, batch, accumulate: 1, exposure: { kind: "teacher" } } };
}
