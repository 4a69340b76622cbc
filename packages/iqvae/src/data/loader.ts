import { permutation, seededRandom } from "../support/random.ts";

/** The order in which epoch `epoch` visits `length` samples: a permutation that `seed` and `epoch` decide alone. */
export function epochOrder(length: number, seed: number, epoch: number): Uint32Array {
  return permutation(length, seededRandom("epoch", seed, epoch));
}

/** Where a {@link Loader} stands. Plain data, to be kept in a checkpoint. */
export interface LoaderState {
  readonly epoch: number;
  /** How many samples of the epoch have been handed out. */
  readonly position: number;
}

/**
 * Hands out sample numbers, epoch after epoch, each epoch in its own order. A batch that reaches the end of an epoch goes
 * on with the next, so that all batches have equal size and no sample is left out.
 *
 * A loader that is restored from a state goes on exactly as the one that the state was taken from.
 */
export class Loader {
  readonly length: number;
  readonly seed: number;
  #epoch = 0;
  #position = 0;
  #order: Uint32Array;

  /** @param length how many samples there are; at least 1 */
  constructor(length: number, seed: number) {
    if (!Number.isInteger(length) || length < 1) {
      throw new RangeError(`Loader(${length}, …): expected at least one sample. Ask the data set for a larger count.`);
    }
    this.length = length;
    this.seed = seed;
    this.#order = epochOrder(length, seed, 0);
  }

  get state(): LoaderState {
    return { epoch: this.#epoch, position: this.#position };
  }

  /** The next `batchSize` sample numbers. */
  next(batchSize: number): Uint32Array {
    const batch = new Uint32Array(batchSize);
    for (let filled = 0; filled < batchSize; ) {
      if (this.#position === this.length) this.#enter(this.#epoch + 1, 0);
      const part = this.#order.subarray(this.#position, this.#position + batchSize - filled);
      batch.set(part, filled);
      filled += part.length;
      this.#position += part.length;
    }
    return batch;
  }

  /** Goes to where `state` was taken. */
  restore(state: LoaderState): void {
    const { epoch, position } = state;
    const fits = Number.isInteger(epoch) && epoch >= 0 && Number.isInteger(position) && position >= 0;
    if (!fits || position > this.length) {
      throw new RangeError(
        `Loader.restore({ epoch: ${epoch}, position: ${position} }): expected whole numbers with position at most ` +
          `${this.length}, the number of samples. The state was taken from another data set; start the epoch anew.`,
      );
    }
    this.#enter(epoch, position);
  }

  #enter(epoch: number, position: number): void {
    if (epoch !== this.#epoch) this.#order = epochOrder(this.length, this.seed, epoch);
    this.#epoch = epoch;
    this.#position = position;
  }
}
