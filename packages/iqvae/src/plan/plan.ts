import { freemem } from "node:os";
import { getDefaultDevice, type Module, setDefaultDevice } from "@iqvae/torch";
import { Discriminator } from "../models/discriminator.ts";
import { VqAutoencoder } from "../models/iqvae.ts";
import { Transformer } from "../models/transformer.ts";
import { type StageCost, stage1Cost, stage2Cost } from "./cost.ts";
import { measureStepTimes } from "./measure.ts";
import { type Planned, plannedTokens } from "./planned.ts";
import { conditionHalf } from "./trial.ts";

/** Operations a second of an H100 SXM in bfloat16, dense (NVIDIA's data sheet). */
export const H100 = 989e12;

/** What a stage costs and how long a step of it takes. */
export interface StagePlan extends StageCost {
  /** Seconds of a step on this machine; `undefined` when it was not measured. */
  readonly here: number | undefined;
  /** Seconds of a step on an H100 at the given share of its peak. */
  readonly h100: number;
}

export interface Plan {
  readonly planned: Planned;
  readonly utilization: number;
  readonly stage1: StagePlan;
  readonly stage2: StagePlan;
  /** Why nothing was measured, if it was wanted. */
  readonly unmeasured: string | undefined;
}

/**
 * Works out what a training costs.
 *
 * @param options.measure whether to time a short trial on this machine
 * @param options.utilization share of the H100's peak that is reached, in `(0, 1]`
 */
export function plan(planned: Planned, { measure, utilization }: { measure: boolean; utilization: number }): Plan {
  const [first, second] = [stage1Cost(planned), stage2Cost(planned)];
  const needed = Math.max(stage1Cost(planned, 1).memory.peak, stage2Cost(twoLayers(planned), 1, 1).memory.peak);
  const fits = needed < freemem();
  const unmeasured =
    measure && !fits ? `the trial needs ${gigabytes(needed)}, but ${gigabytes(freemem())} are free` : undefined;
  const plain = stage2Cost({ ...planned, exposure: { kind: "teacher" } });
  // Second passes cost what their operations say.
  const times = measure && fits ? measureStepTimes(planned, second.operations / plain.operations - 1) : undefined;
  const stage = (cost: StageCost, here: number | undefined): StagePlan => ({
    ...cost,
    here,
    h100: cost.operations / (H100 * utilization),
  });
  return {
    planned,
    utilization,
    stage1: stage(first, times?.stage1),
    stage2: stage(second, times?.stage2),
    unmeasured,
  };
}

function twoLayers(planned: Planned): Planned {
  return { ...planned, transformer: { ...planned.transformer, layers: Math.min(2, planned.transformer.layers) } };
}

/**
 * The numbers of trained values, counted on the networks themselves. They are made on libtorch's `meta` device, where tensors
 * have shapes and no memory.
 */
export function countParameters(planned: Planned): { stage1: number; stage2: number } {
  const { image, condition, transformer, adversarial } = planned;
  const before = getDefaultDevice();
  setDefaultDevice("meta");
  try {
    const stage1 = count(new VqAutoencoder(3, 3, image));
    const other = condition.kind === "planes" ? count(conditionHalf(condition)) : 0;
    const judge = adversarial === null ? 0 : count(new Discriminator(adversarial));
    return { stage1: stage1 + other + judge, stage2: count(new Transformer(transformer, plannedTokens(planned))) };
  } finally {
    setDefaultDevice(before);
  }
}

function count(model: Module): number {
  const parameters = model.parameterCount();
  for (const tensor of model.stateDict().values()) tensor.dispose();
  return parameters;
}

export function gigabytes(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
