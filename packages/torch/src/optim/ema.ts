import { expectMap } from "../given.ts";
import { noGrad } from "../modes.ts";
import { ops } from "../ops.ts";
import { unscoped } from "../scope.ts";
import { checkStateDict } from "../state-dict.ts";
import { synchronous } from "../synchronous.ts";
import type { Tensor } from "../tensor.ts";

/** An exponential moving average of weights: `average ← decay·average + (1 − decay)·weight`. */
export class Ema {
  readonly #names: readonly string[];
  /** Where the weights and their averages are; the two change places while the averages are swapped in. */
  #weights: readonly Tensor[];
  #averages: readonly Tensor[];
  #isSwapped = false;

  /** @throws Error for a weight under two names, which would not get its value back */
  constructor(parameters: ReadonlyMap<string, Tensor>) {
    expectMap("Ema", parameters);
    this.#names = [...parameters.keys()];
    this.#weights = [...parameters.values()];
    const twice = this.#names.find((_, i) => this.#weights.indexOf(this.#weights[i]!) < i);
    if (twice !== undefined)
      throw new Error(`Ema: the weight '${twice}' is given twice; namedParameters() has each under one name`);
    this.#averages = unscoped(() => noGrad(() => this.#weights.map((weight) => weight.clone())));
  }

  /** @throws RangeError for a decay that is not in [0, 1] */
  update(decay: number): void {
    if (!(decay >= 0 && decay <= 1)) throw new RangeError(`Ema.update: decay must be in [0, 1], but is ${decay}`);
    noGrad(() => ops.fused.lerp_(this.#averages, this.#weights, 1 - decay));
  }

  /** The averages by parameter name. */
  stateDict(): Map<string, Tensor> {
    return new Map(this.#names.map((name, i) => [name, this.#averages[i]!]));
  }

  /** @throws Error naming every missing, unexpected and misshapen tensor; nothing is changed then */
  loadStateDict(source: ReadonlyMap<string, Tensor>): void {
    const own = this.stateDict();
    checkStateDict("the averages do not fit the model", own, source);
    noGrad(() => {
      for (const [name, average] of own) average.copy_(source.get(name)!);
    });
  }

  /**
   * Runs `body` with the averages in place of the weights, and puts the weights back.
   *
   * @throws TypeError when `body` is asynchronous or a generator: it would find the weights
   */
  swappedIn<T>(body: () => T): T {
    const run = () => synchronous("swappedIn", body(), "the weights would be back before its work is done");
    if (this.#isSwapped) return run();
    this.#swap();
    try {
      return run();
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
    [this.#weights, this.#averages] = [this.#averages, this.#weights];
    this.#isSwapped = !this.#isSwapped;
  }
}
