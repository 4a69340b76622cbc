import { Generator } from "../generator.ts";
import { ANYTHING, expectOptions, FLAG, type Kind, kindOf } from "../given.ts";
import { ops } from "../ops.ts";
import { handOver, type Owned, releaseOwned, scope, scopeWithSurvivors, traced, unscoped } from "../scope.ts";
import { lateKind } from "../synchronous.ts";
import { Tensor, tensor } from "../tensor.ts";
import { type Collated, defaultCollate } from "./collate.ts";

/** Samples by number. An array is one, too. */
export interface Dataset<T> {
  readonly length: number;
  /** The sample of a number from 0. */
  get(index: number): T | Promise<T>;
}

/** Samples that are taken many at a time, which spares putting them together. */
export interface BatchedDataset<B> {
  readonly length: number;
  batch(indices: readonly number[]): B | Promise<B>;
}

type Rows<T> = { -readonly [K in keyof T]: Tensor };

/** Rows of tensors that are as long as each other: inputs and targets, for example. */
export class TensorDataset<T extends readonly Tensor[]> implements BatchedDataset<Rows<T>> {
  readonly tensors: T;
  readonly length: number;

  /** @throws RangeError when the tensors differ in their number of rows, TypeError for what has none */
  constructor(...tensors: T) {
    for (const each of tensors as readonly unknown[])
      if (!(each instanceof Tensor) || each.ndim === 0)
        throw new TypeError(
          `TensorDataset takes tensors with rows, but got ${each instanceof Tensor ? each : kindOf(each)}`,
        );
    const lengths = tensors.map((each) => each.shape[0]!);
    if (new Set(lengths).size !== 1)
      throw new RangeError(
        `TensorDataset takes tensors with as many rows as each other, but got ${lengths.join(", ")}`,
      );
    this.tensors = tensors;
    this.length = lengths[0]!;
  }

  batch(indices: readonly number[]): Rows<T> {
    return scope(() => {
      const rows = tensor(BigInt64Array.from(indices, BigInt), { device: "cpu" });
      return this.tensors.map((each) => each.index_select(0, rows.to(each.device))) as Rows<T>;
    });
  }
}

/** How a {@link DataLoader} makes its batches. */
export interface LoaderOptions<T, B> {
  /** Default 1. */
  readonly batchSize?: number;
  /** A new order in each pass. Default false. */
  readonly shuffle?: boolean;
  /** Whether a last batch that is smaller is left out. Default false. */
  readonly dropLast?: boolean;
  /** Decides the order; the default generator when not given. */
  readonly generator?: Generator;
  /** Makes a batch of samples; {@link defaultCollate} when not given. */
  readonly collateFn?: (samples: T[]) => B;
}

const LOADER_OPTIONS = {
  batchSize: ANYTHING,
  shuffle: FLAG,
  dropLast: FLAG,
  generator: { words: "a Generator", fits: (value) => value instanceof Generator } as Kind,
  collateFn: { words: "a function", fits: (value) => typeof value === "function" } as Kind,
};

/** @throws TypeError for what has no length, such as a set */
function expectLength(dataset: { readonly length: number }): void {
  if (typeof dataset !== "object" || !Number.isInteger(dataset?.length))
    throw new TypeError(
      `DataLoader takes an array, or what has a length and get(index) or batch(indices), but got ${kindOf(dataset)}; make an array of it: [...x]`,
    );
}

type Samples<T> = Dataset<T> | readonly T[];

/**
 * Goes over a data set in batches, as PyTorch's: `for (const [x, y] of loader)`, or `for await` where samples come as promises, then
 * with the next batch under way while this one is worked on.
 *
 * The tensors of a batch live until the next one is taken; `clone()` what is kept longer. Those that a data set makes for a sample live
 * until its batch is put together; what it keeps, it makes in {@link unscoped}.
 */
export class DataLoader<T, B = Collated<T>> {
  readonly #dataset: Samples<T> | BatchedDataset<B>;
  readonly #options: LoaderOptions<T, B>;
  readonly batchSize: number;

  constructor(dataset: BatchedDataset<B>, options?: Omit<LoaderOptions<never, B>, "collateFn">);
  constructor(dataset: Samples<T>, options?: LoaderOptions<T, B>);
  constructor(dataset: Samples<T> | BatchedDataset<B>, options: LoaderOptions<T, B> = {}) {
    expectOptions<LoaderOptions<T, B>>("DataLoader", options, LOADER_OPTIONS);
    expectLength(dataset);
    const { batchSize = 1 } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1)
      throw new RangeError(`DataLoader: batchSize must be a whole number from 1, but is ${batchSize}`);
    this.batchSize = batchSize;
    this.#dataset = dataset;
    this.#options = options;
  }

  /** The number of batches of a pass. */
  get length(): number {
    const batches = this.#dataset.length / this.batchSize;
    return this.#options.dropLast ? Math.floor(batches) : Math.ceil(batches);
  }

  /** @throws TypeError when samples come as promises */
  *[Symbol.iterator](): Generator_<B> {
    let made: readonly Owned[] = [];
    for (const indices of this.#order()) {
      release(made);
      const { result, survivors } = unscoped(() =>
        scopeWithSurvivors(() => {
          const samples = this.#take(indices);
          if ([samples].flat().some((each) => lateKind(each) === "an asynchronous function"))
            throw new TypeError("DataLoader: the samples come as promises; use `for await (… of loader)`");
          return this.#together(samples as T[] | B);
        }),
      );
      made = survivors;
      yield result;
    }
    release(made);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<B, void, undefined> {
    const order = this.#order();
    const next = () => {
      const indices = order.shift();
      if (indices === undefined) return undefined;
      const coming = traced(() => this.#takeLater(indices));
      coming.catch(() => {}); // heard of when it is waited for, if ever
      return coming;
    };
    let made: readonly Owned[] = [];
    let coming = next();
    while (coming !== undefined) {
      const samples = await coming;
      coming = next();
      release(made);
      const { result, survivors } = unscoped(() =>
        scopeWithSurvivors(() => {
          handOver(samples.made);
          return this.#together(samples.result);
        }),
      );
      made = survivors;
      yield result;
    }
    release(made);
  }

  #take(indices: number[]): (T | Promise<T>)[] | B | Promise<B> {
    const dataset = this.#dataset;
    if (isBatched(dataset)) return dataset.batch(indices);
    return indices.map((i) => sampleOf(dataset, i));
  }

  /** An error of one sample is that of the promise, and none of the others' goes unheard. */
  async #takeLater(indices: number[]): Promise<T[] | B> {
    const dataset = this.#dataset;
    if (isBatched(dataset)) return dataset.batch(indices);
    return Promise.all(indices.map(async (i) => sampleOf(dataset, i)));
  }

  #together(samples: T[] | B): B {
    if (isBatched(this.#dataset)) return samples as B;
    return (this.#options.collateFn ?? (defaultCollate as unknown as (samples: T[]) => B))(samples as T[]);
  }

  /** The numbers of each batch. */
  #order(): number[][] {
    const { length } = this.#dataset;
    const { shuffle = false, generator = null } = this.#options;
    const order = shuffle
      ? scope(() => Array.from(ops.aten.randperm(length, { generator, device: "cpu" }).read("int64"), Number))
      : Array.from({ length }, (_, i) => i);
    return Array.from({ length: this.length }, (_, i) => order.slice(i * this.batchSize, (i + 1) * this.batchSize));
  }
}

// `Generator` is the one of random numbers here.
type Generator_<T> = IterableIterator<T, void, undefined>;

function sampleOf<T>(dataset: Samples<T>, i: number): T | Promise<T> {
  return "get" in dataset ? dataset.get(i) : dataset[i]!;
}

function isBatched<B>(dataset: object): dataset is BatchedDataset<B> {
  return "batch" in dataset && typeof dataset.batch === "function";
}

function release(made: readonly Owned[]): void {
  releaseOwned(made, "a batch of a DataLoader lives until the next is taken; clone() what is kept longer");
}
