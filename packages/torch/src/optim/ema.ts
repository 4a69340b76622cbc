import { noGrad } from "../modes.ts";
import { ops } from "../ops.ts";
import { unscoped } from "../scope.ts";
import { synchronous } from "../synchronous.ts";
import type { Tensor } from "../tensor.ts";

/** An exponential moving average of weights: `average ← decay·average + (1 − decay)·weight`. */
export class Ema {
  readonly #names: readonly string[];
  readonly #weights: readonly Tensor[];
  readonly #averages: readonly Tensor[];

  constructor(parameters: ReadonlyMap<string, Tensor>) {
    this.#names = [...parameters.keys()];
    this.#weights = [...parameters.values()];
    this.#averages = unscoped(() => noGrad(() => this.#weights.map((weight) => weight.clone())));
  }

  update(decay: number): void {
    noGrad(() => ops.fused.lerp_(this.#averages, this.#weights, 1 - decay));
  }

  /** The averages by parameter name. */
  tensors(): Map<string, Tensor> {
    return new Map(this.#names.map((name, i) => [name, this.#averages[i]!]));
  }

  restore(tensors: ReadonlyMap<string, Tensor>): void {
    noGrad(() => {
      for (const [name, own] of this.tensors()) {
        const given = tensors.get(name);
        if (given === undefined) throw new Error(`the averaged weights lack '${name}'; they belong to another model`);
        own.copy_(given);
      }
    });
  }

  /**
   * Runs `body` with the averages in place of the weights, and puts the weights back.
   *
   * @throws TypeError when `body` is asynchronous or a generator: it would find the weights
   */
  swappedIn<T>(body: () => T): T {
    this.#swap();
    try {
      return synchronous("swappedIn", body(), "the weights would be back before its work is done");
    } finally {
      this.#swap();
    }
  }

  #swap(): void {
    noGrad(() => {
      this.#weights.forEach((weight, i) => {
        const kept = weight.clone();
        weight.copy_(this.#averages[i]!);
        this.#averages[i]!.copy_(kept);
        kept.dispose();
      });
    });
  }
}
