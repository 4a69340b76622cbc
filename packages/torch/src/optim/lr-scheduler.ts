import { expectKind, kindOf, NUMBER } from "../given.ts";
import { scope } from "../scope.ts";
import { checkStateDict, type Stateful } from "../state-dict.ts";
import { type Tensor, tensor } from "../tensor.ts";
import type { Optimizer } from "./optimizer.ts";

/** What a schedule changes: an optimizer, of which it sees the rates of the groups. */
export type Schedulable = Pick<Optimizer<{ lr: number }, unknown>, "lr"> & {
  readonly paramGroups: readonly { lr: number }[];
};

/**
 * Sets the learning rate of each group of an optimizer, as PyTorch's: {@link step} after each epoch, or after each step of the
 * optimizer. The rate is computed from the number of steps and the rate that the group had at first, so nothing adds up: of
 * two schedulers of one optimizer, the one that steps last has its way. A run that goes on loads the scheduler beside the optimizer,
 * whose own state has no rates: `load("run.safetensors", { net, optimizer, scheduler })`.
 */
export abstract class LRScheduler implements Stateful {
  /** How often {@link step} was called. */
  lastEpoch = 0;
  #baseLrs: readonly number[];
  readonly #optimizer: Schedulable;

  constructor(optimizer: Schedulable) {
    this.#optimizer = optimizer;
    this.#baseLrs = optimizer.paramGroups.map(({ lr }) => lr);
  }

  /** The rates that the groups had at first. */
  get baseLrs(): readonly number[] {
    return this.#baseLrs;
  }

  /** The rate of a group that began with `base`, after so many steps. */
  protected abstract rate(base: number, epoch: number): number;

  step(): void {
    this.lastEpoch += 1;
    this.apply();
  }

  /** The rates of the groups. */
  getLastLr(): number[] {
    return this.#optimizer.paramGroups.map(({ lr }) => lr);
  }

  /** The number of steps, and the first and the present rates. How the rates change is not part of it. */
  stateDict(): Map<string, Tensor> {
    const float64 = (values: number | readonly number[]) => tensor(values, { dtype: "float64", device: "cpu" });
    return new Map([
      ["lastEpoch", float64(this.lastEpoch)],
      ["baseLrs", float64(this.#baseLrs)],
      ["lastLr", float64(this.getLastLr())],
    ]);
  }

  /**
   * Goes on where {@link stateDict} was taken, and gives the groups of the optimizer the rates that they had there.
   *
   * @throws Error for a state of another number of groups; nothing is changed then
   */
  loadStateDict(source: ReadonlyMap<string, Tensor>): void {
    scope(() => {
      checkStateDict("the state does not fit the scheduler", this.stateDict(), source);
      this.lastEpoch = source.get("lastEpoch")!.item() as number;
      this.#baseLrs = source.get("baseLrs")!.tolist() as number[];
      const rates = source.get("lastLr")!.tolist() as number[];
      for (const [i, group] of this.#optimizer.paramGroups.entries()) group.lr = rates[i]!;
    });
  }

  /** Sets the rates for the present number of steps. */
  protected apply(): void {
    for (const [i, group] of this.#optimizer.paramGroups.entries())
      group.lr = this.rate(this.#baseLrs[i]!, this.lastEpoch);
  }
}

/** Multiplies the rate by `gamma` at every `stepSize`-th step. */
export class StepLR extends LRScheduler {
  readonly #stepSize: number;
  readonly #gamma: number;

  /** @param gamma default 0.1 */
  constructor(optimizer: Schedulable, stepSize: number, gamma = 0.1) {
    super(optimizer);
    if (!Number.isInteger(stepSize) || stepSize < 1)
      throw new RangeError(`StepLR: stepSize must be a whole number from 1, but is ${stepSize}`);
    expectKind("StepLR", { gamma }, NUMBER);
    [this.#stepSize, this.#gamma] = [stepSize, gamma];
  }

  protected rate(base: number, epoch: number): number {
    return base * this.#gamma ** Math.floor(epoch / this.#stepSize);
  }
}

/** Half a cosine from the first rate to `etaMin` in `tMax` steps (Loshchilov & Hutter 2017, equation 5), then up again. */
export class CosineAnnealingLR extends LRScheduler {
  readonly #tMax: number;
  readonly #etaMin: number;

  /** @param etaMin default 0 */
  constructor(optimizer: Schedulable, tMax: number, etaMin = 0) {
    super(optimizer);
    if (!Number.isInteger(tMax) || tMax < 1)
      throw new RangeError(`CosineAnnealingLR: tMax must be a whole number from 1, but is ${tMax}`);
    expectKind("CosineAnnealingLR", { etaMin }, NUMBER);
    [this.#tMax, this.#etaMin] = [tMax, etaMin];
  }

  protected rate(base: number, epoch: number): number {
    return this.#etaMin + ((base - this.#etaMin) * (1 + Math.cos((Math.PI * epoch) / this.#tMax))) / 2;
  }
}

/** Multiplies the first rate by a function of the number of steps; at once, as its value at 0 need not be 1. */
export class LambdaLR extends LRScheduler {
  readonly #factor: (epoch: number) => number;

  constructor(optimizer: Schedulable, factor: (epoch: number) => number) {
    super(optimizer);
    if (typeof factor !== "function")
      throw new TypeError(`LambdaLR: factor must be a function of the number of steps, but is ${kindOf(factor)}`);
    this.#factor = factor;
    this.apply();
  }

  protected rate(base: number, epoch: number): number {
    return base * this.#factor(epoch);
  }
}
