import { createHash } from "node:crypto";
import { deserialize, serialize } from "node:v8";
import {
  allGather,
  allReduce,
  allReduceMean,
  broadcast,
  Generator,
  GradientBuckets,
  GroupError,
  manualSeed,
  noGrad,
  ops,
  type ProcessGroup,
  scope,
  type Tensor,
  tensor,
} from "@iqvae/torch";
import { type Interrupt, InterruptedError } from "./interrupt.ts";
import { RunningMeans } from "./running-means.ts";
import { messageOf, OtherFailedError, Turns } from "./turns.ts";

/**
 * The processes that train a run together, as one of them sees it. A training of one process has none.
 *
 * What is called on one rank must be called on all, in the same order: so training branches on the step and on what was reduced only.
 */
export class Peers {
  readonly rank: number;
  readonly size: number;
  #interrupt: Pick<Interrupt, "requested"> = { requested: false };
  /** Random numbers that are the same on all ranks; seeded anew by {@link beginStep}. */
  readonly shared = new Generator(0);
  readonly #buckets: GradientBuckets[] = [];
  #stops: RunningMeans | undefined;
  #stopping = false;
  readonly #turns: Turns;

  constructor(group: ProcessGroup) {
    this.rank = group.rank;
    this.size = group.size;
    this.#turns = new Turns(group, () => this.#interrupt.requested);
  }

  /** Wishes of this process to stop are wishes of all from now on, who hear of them with the next {@link reduce}. */
  attend(interrupt: Pick<Interrupt, "requested">): void {
    this.#interrupt = interrupt;
  }

  /** Whether this rank writes, draws and speaks for all. */
  get isFirst(): boolean {
    return this.rank === 0;
  }

  /** This rank's part of a batch of all: rows `r·b/N … (r+1)·b/N`. */
  rowsOf(indices: Uint32Array): Uint32Array {
    const own = indices.length / this.size;
    return indices.subarray(this.rank * own, (this.rank + 1) * own);
  }

  /** @throws RangeError when a batch cannot be shared evenly, with the nearest that can */
  expectShares(name: string, rows: number): void {
    if (rows % this.size === 0) return;
    const below = rows - (rows % this.size);
    const near = [below, below + this.size].filter((count) => count > 0).join(" or ");
    throw new RangeError(
      `${name} is ${rows} rows, which ${this.size} processes cannot share evenly: set it to ${near}, or start another number of processes.`,
    );
  }

  /**
   * Seeds all random numbers of a step: those of the default generator by the rank, too, and {@link shared} alike on all. Nothing of them has
   * to be kept then for a training to go on to the bit.
   */
  beginStep(seed: number, stage: string, step: number): void {
    manualSeed(seedOf(seed, stage, step, this.rank));
    this.shared.manualSeed(seedOf(seed, stage, step));
  }

  /**
   * Replaces float32 tensors by their mean over all ranks, and so the scalars, which come back; one message for all. The wish to stop rides
   * along: see {@link stopping}.
   */
  reduce<K extends string>(tensors: readonly Tensor[], scalars: Readonly<Record<K, Tensor>>): Record<K, Tensor> {
    return noGrad(() =>
      scope(() => {
        const names = Object.keys(scalars) as K[];
        const values = names.map((name) => scalars[name].detach().to("float32").reshape([]));
        const { device } = values[0] ?? tensors[0]!;
        const stop = tensor(this.#interrupt.requested ? 1 : 0, { device });
        const tail = ops.aten.stack([stop, ...values]);
        allReduceMean([...tensors, tail]);
        this.#stops ??= new RunningMeans(device);
        if (this.#stops.add({ stop: tail.select(0, 0) }).stop > 0) this.#stopping = true;
        return Object.fromEntries(names.map((name, i) => [name, tail.select(0, i + 1).clone()])) as Record<K, Tensor>;
      }),
    );
  }

  /** Whether a rank was asked to stop, as all know since the same step; on a GPU some steps later than on a CPU. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Replaces float32 tensors by their mean over all ranks. */
  mean(tensors: readonly Tensor[]): void {
    noGrad(() => allReduceMean(tensors));
  }

  /** Replaces tensors by their sum over all ranks. */
  sum(tensors: readonly Tensor[]): void {
    noGrad(() => allReduce(tensors));
  }

  /** Replaces tensors by those of rank 0. */
  copyFirst(tensors: readonly Tensor[]): void {
    noGrad(() => broadcast(tensors));
  }

  /** Whether tensors hold the same values on all ranks, as far as their sums tell. */
  agreeOn(tensors: readonly Tensor[]): boolean {
    return noGrad(() =>
      scope(() => {
        const sums = ops.aten.stack(tensors.map((one) => one.to("float64").sum().to({ device: "cpu" })));
        const [least, most] = [sums.clone(), sums.clone()];
        allReduce([least], "min");
        allReduce([most], "max");
        return most.sub(least).abs().max().item() === 0;
      }),
    );
  }

  /** Gradients of parameters that become means over all ranks while the way back computes those that are left. */
  gradientsOf(parameters: Iterable<Tensor>): GradientBuckets {
    const buckets = new GradientBuckets(parameters);
    this.#buckets.push(buckets);
    return buckets;
  }

  /** Lets go of all {@link gradientsOf}: of a stage that is trained. */
  releaseGradients(): void {
    for (const buckets of this.#buckets.splice(0)) buckets.dispose();
  }

  /** What each rank has, in their order; plain values, arrays of numbers among them. */
  gather<T>(value: T): T[] {
    const bytes = Uint8Array.from(serialize(value));
    return scope(() => {
      const lengths = allGather(tensor([bytes.length], { dtype: "int64", device: "cpu" })).map((one) => one.item());
      const padded = new Uint8Array(Math.max(...lengths));
      padded.set(bytes);
      const all = allGather(tensor(padded, { device: "cpu" }));
      return all.map((one, i) => deserialize(one.read("uint8").subarray(0, lengths[i]!)) as T);
    });
  }

  /** Runs `body` on all ranks. @throws InterruptedError on all when it does on any, as it may where it looks at {@link wish} */
  async untilStopped<T>(body: () => Promise<T>): Promise<T> {
    let own: { value: T } | undefined;
    try {
      own = { value: await body() };
    } catch (error) {
      if (!(error instanceof InterruptedError)) throw error;
    }
    if (this.any(own === undefined)) throw new InterruptedError("asked to stop");
    return own!.value;
  }

  /** Whether it is so on any rank. */
  any(here: boolean): boolean {
    return this.gather(here).includes(true);
  }

  /**
   * What rank 0 makes of `body`, which only it runs; a copy of it on the others.
   *
   * @throws what `body` throws, on rank 0; OtherFailedError with its message on the others
   */
  async onFirst<T>(body: () => T | Promise<T>): Promise<T> {
    const [own, all] = await this.#together(async () => (this.isFirst ? await body() : undefined));
    return this.isFirst ? (own as T) : (all[0] as T);
  }

  /**
   * What `body` makes of all items, of which each rank is given every N-th; all get all, in their order.
   *
   * @throws what `body` throws, on the first rank where it does; OtherFailedError with its message on the others
   */
  async share<T, R>(items: readonly T[], body: (own: T[]) => R[] | Promise<R[]>): Promise<R[]> {
    const { rank, size } = this;
    const own = items.filter((_, i) => i % size === rank);
    const [, parts] = await this.#together(async () => (own.length === 0 ? [] : await body(own)));
    return items.map((_, i) => parts[i % size]![Math.floor(i / size)]!);
  }

  /** Runs `body` on all ranks. @returns what it made here, and on each; no rank waits for one where it failed */
  async #together<T>(body: () => Promise<T>): Promise<[own: T, all: T[]]> {
    let own: { value: T } | { error: unknown };
    try {
      own = { value: await body() };
    } catch (error) {
      // The group is of no use any more.
      if (error instanceof GroupError) throw error;
      own = { error };
    }
    const all = this.gather("error" in own ? { error: messageOf(own.error) } : { value: own.value });
    const failed = all.findIndex((one) => "error" in one);
    if (failed === this.rank && "error" in own) throw own.error;
    if (failed >= 0) throw new OtherFailedError(`Rank ${failed} failed: ${(all[failed] as { error: string }).error}`);
    return [(own as { value: T }).value, all.map((one) => (one as { value: T }).value)];
  }

  /** Runs `body` on one process of each machine, and after it on the others; see {@link Turns.firstOfMachine}. */
  async firstOfMachine<T>(body: () => Promise<T>): Promise<T> {
    return await this.#turns.firstOfMachine(body);
  }

  /** Whether any process was asked to stop, for work beside training that looks up from time to time. */
  get wish(): Pick<Interrupt, "requested"> {
    return this.#turns.wish;
  }
}

/** 63 bits that are decided by all parts. */
function seedOf(...parts: readonly (string | number)[]): bigint {
  const digest = createHash("sha256")
    .update(JSON.stringify(["step", ...parts]))
    .digest();
  return digest.readBigUInt64LE(0) >> 1n;
}
