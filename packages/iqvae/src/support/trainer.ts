import type { Tensor } from "@iqvae/torch";

/** The two trainings of a run, in their order. */
export const STAGES = ["stage1", "stage2"] as const;
export type Stage = (typeof STAGES)[number];

/** What one step reports. `loss` decides whether the training goes on: NaN or infinity stops it. */
export type StepMetrics = { readonly loss: number } & Readonly<Record<string, number>>;

/**
 * One stage of training, as the loop sees it. The loop owns the order of the data, the log, the checkpoints and the state
 * of the default random generator; a trainer owns everything else that changes from step to step.
 *
 * Equal tensors, equal state and an equal random generator must make the next step come out equal to the bit: that is
 * what makes an interrupted run go on as if nothing had happened.
 */
export interface Trainer {
  /**
   * One optimizer step. The loop calls it in a scope, so what must live on is made with `unscoped`.
   *
   * @param indices rows of the training split
   */
  step(indices: Uint32Array): StepMetrics;

  /** All tensors that a resumption needs: weights, their averages, optimizer moments, codebook statistics. */
  tensors(): Map<string, Tensor>;

  /** All that a resumption needs beside the tensors, as plain JSON values. */
  state(): Record<string, unknown>;

  /** Goes back to what {@link tensors} and {@link state} gave. The caller keeps and releases the tensors passed. */
  restore(tensors: ReadonlyMap<string, Tensor>, state: Record<string, unknown>): void;

  /**
   * Figures on held-out data. `loss`, if it is among them, decides which checkpoint is the best: the lowest. The loop puts
   * the random generator back afterward, so that looking at a run does not change it.
   */
  evaluate(): Record<string, number>;
}
