import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { deserialize, serialize } from "node:v8";
import {
  allGather,
  allReduce,
  allReduceMean,
  broadcast,
  Generator,
  GroupError,
  manualSeed,
  noGrad,
  ops,
  type ProcessGroup,
  scope,
  storeGet,
  storeSet,
  type Tensor,
  tensor,
} from "@iqvae/torch";
import { type Interrupt, InterruptedError } from "./interrupt.ts";
import { RunningMeans } from "./running-means.ts";

/** Rank 0 failed at what it does for all, and has said why. */
export class FirstFailedError extends Error {
  override readonly name = "FirstFailedError";
}

/** How often those who wait for another process look. */
const LOOK_EVERY_MS = 100;

/**
 * The processes that train a run together, as one of them sees it. A training of one process has none.
 *
 * What is called on one rank must be called on all, in the same order: so training branches on the step and on what was reduced only.
 */
export class Peers {
  readonly rank: number;
  readonly size: number;
  readonly #group: ProcessGroup;
  #interrupt: Pick<Interrupt, "requested"> = { requested: false };
  /** Random numbers that are the same on all ranks; seeded anew by {@link beginStep}. */
  readonly shared = new Generator(0);
  #stops: RunningMeans | undefined;
  #stopping = false;
  #waits = 0;

  constructor(group: ProcessGroup) {
    this.#group = group;
    this.rank = group.rank;
    this.size = group.size;
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

  /** Whether it is so on any rank. */
  any(here: boolean): boolean {
    return this.gather(here).includes(true);
  }

  /**
   * What rank 0 makes of `body`, which only it runs; a copy of it on the others.
   *
   * @throws what `body` throws, on rank 0; FirstFailedError with its message on the others
   */
  async onFirst<T>(body: () => T | Promise<T>): Promise<T> {
    let own: { value: T } | { error: unknown } | undefined;
    if (this.isFirst) {
      try {
        own = { value: await body() };
      } catch (error) {
        own = { error };
      }
    }
    const told = own && ("error" in own ? { error: messageOf(own.error) } : { value: own.value });
    const [outcome] = this.gather(told ?? {}) as [{ value: T } | { error: string }];
    if (own !== undefined && "error" in own) throw own.error;
    if (own !== undefined) return own.value;
    if ("error" in outcome) throw new FirstFailedError(`Rank 0 failed: ${outcome.error}`);
    return outcome.value;
  }

  /**
   * Runs `body` on one process of each machine, and after it on the others, who then find what it made. They wait however long it takes.
   *
   * @throws InterruptedError when this process is asked to stop while it waits
   */
  async firstOfMachine<T>(body: () => Promise<T>): Promise<T> {
    const key = `machine ${hostname()} ${this.#waits++}`;
    if (this.#group.localRank === 0) {
      storeSet(`${key} begun`, String(process.pid));
      try {
        const made = await body();
        storeSet(key, "");
        return made;
      } catch (error) {
        storeSet(key, messageOf(error));
        throw error;
      }
    }
    for (let outcome = storeGet(key); ; outcome = storeGet(key)) {
      if (outcome === "") return await body();
      if (outcome !== undefined) throw new FirstFailedError(`The first process of this machine failed: ${outcome}`);
      if (this.#interrupt.requested) throw new InterruptedError("asked to stop");
      const pid = storeGet(`${key} begun`);
      if (pid !== undefined && !lives(Number(pid)) && storeGet(key) === undefined)
        throw new GroupError(
          `Rank ${this.rank} of ${this.size} waited for process ${pid} of this machine, which has ended.`,
        );
      await new Promise((done) => setTimeout(done, LOOK_EVERY_MS));
    }
  }
}

/** What is done by the first of several processes, and is true for all; see {@link Peers.onFirst}. */
export async function onFirst<T>(peers: Peers | undefined, body: () => T | Promise<T>): Promise<T> {
  return peers === undefined ? await body() : await peers.onFirst(body);
}

/** What `body` makes of each item, in their order. With peers, every rank does a part of them, and all get all. */
export function shareOut<T, R>(peers: Peers | undefined, items: readonly T[], body: (item: T) => R): R[] {
  if (peers === undefined) return items.map(body);
  const { rank, size } = peers;
  const parts = peers.gather(items.filter((_, i) => i % size === rank).map(body));
  return items.map((_, i) => parts[i % size]![Math.floor(i / size)]!);
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** 63 bits that are decided by all parts. */
function seedOf(...parts: readonly (string | number)[]): bigint {
  const digest = createHash("sha256")
    .update(JSON.stringify(["step", ...parts]))
    .digest();
  return digest.readBigUInt64LE(0) >> 1n;
}
