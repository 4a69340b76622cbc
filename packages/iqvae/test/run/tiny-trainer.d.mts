import type { Tensor } from "@iqvae/torch";
import type { StepMetrics, Trainer } from "../../src/support/trainer.ts";

export declare const ROWS: number;
export declare class TinyTrainer implements Trainer {
  readonly parameters: Map<string, Tensor>;
  step(indices: Uint32Array): StepMetrics;
  tensors(): Map<string, Tensor>;
  state(): Record<string, unknown>;
  restore(tensors: ReadonlyMap<string, Tensor>, state: Record<string, unknown>): void;
  evaluate(): Record<string, number>;
}
