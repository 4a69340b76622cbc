import { hostname } from "node:os";
import { setTimeout as later } from "node:timers/promises";
import { GroupError, type ProcessGroup, storeGet, storeSet } from "@iqvae/torch";
import { type Interrupt, InterruptedError } from "./interrupt.ts";

/** Another rank failed at what it does for all, and says why. */
export class OtherFailedError extends Error {
  override readonly name = "OtherFailedError";
}

/** How often those who wait for another process look. */
const LOOK_EVERY_MS = 100;
/** How long rank 0, whose store it is, waits for the others to have read why all end. */
const FAREWELL_MS = 2000;
/** Under this name stands why all end: nothing for a wish to stop, else what failed. */
const END = "end";

/**
 * Waiting by the store of rank 0, for what may take any time: drawing data, fetching weights. A collective would give up, and could not be
 * stopped. No rank goes on before all have done their part, so that a wish to stop, or a failure, ends all alike.
 */
export class Turns {
  readonly #group: ProcessGroup;
  readonly #interrupt: () => boolean;
  #waits = 0;
  #looked = Number.NEGATIVE_INFINITY;
  #ended = false;

  /** @param interrupt whether this process was asked to stop */
  constructor(group: ProcessGroup, interrupt: () => boolean) {
    this.#group = group;
    this.#interrupt = interrupt;
    if (group.size > 1) storeSet(`process ${group.rank}`, JSON.stringify([hostname(), process.pid]));
  }

  /** Whether any process was asked to stop, for work that looks up from time to time. All hear of it. */
  readonly wish: Pick<Interrupt, "requested"> = Object.defineProperty({ requested: false }, "requested", {
    get: () => this.#isOver(),
  });

  #isOver(): boolean {
    if (this.#group.size === 1) return this.#interrupt();
    if (this.#ended) return true;
    if (this.#interrupt()) storeSet(END, "");
    else if (performance.now() - this.#looked < LOOK_EVERY_MS) return false;
    this.#looked = performance.now();
    this.#ended = storeGet(END) !== undefined;
    return this.#ended;
  }

  /**
   * Runs `body` on one process of each machine, and after it on the others, who then find what it made.
   *
   * @throws InterruptedError on all when any process is asked to stop before it is through; where `body` fails what it throws, and
   *   OtherFailedError on the others
   */
  async firstOfMachine<T>(body: () => Promise<T>): Promise<T> {
    const { rank, size, localRank } = this.#group;
    if (size === 1) return await body();
    const name = `turn ${this.#waits++}`;
    const made = `${name} ${hostname()}`;
    try {
      if (localRank === 0) storeSet(`${made} by`, String(rank));
      else await this.#until(made, `${made} by`);
      if (this.wish.requested) this.#throwEnd();
      const own = await body();
      if (localRank === 0) storeSet(made, "");
      storeSet(`${name} done ${rank}`, "");
      // From here on a wish is for what comes next: others may have gone on already.
      for (let other = 0; other < size; other++) await this.#until(`${name} done ${other}`, other);
      return own;
    } catch (error) {
      if (error instanceof GroupError) throw error;
      const known = storeGet(END);
      if (known === undefined)
        storeSet(END, error instanceof InterruptedError ? "" : `Rank ${rank} failed: ${messageOf(error)}`);
      await this.#farewell();
      // Whoever was stopped since another failed.
      if (known && error instanceof InterruptedError) throw new OtherFailedError(known);
      throw error;
    }
  }

  /** Waits for a name in the store. @param by the rank that sets it, or the name under which that rank stands */
  async #until(name: string, by: number | string): Promise<void> {
    // First the name: whoever finds it goes on, as others have.
    while (storeGet(name) === undefined) {
      if (this.#interrupt() && typeof by === "string") storeSet(END, "");
      this.#throwEnd();
      const rank = typeof by === "number" ? by : storeGet(by);
      const process = rank === undefined ? undefined : storeGet(`process ${rank}`);
      if (process !== undefined && hasEnded(JSON.parse(process)) && storeGet(name) === undefined)
        throw new GroupError(
          `Rank ${this.#group.rank} of ${this.#group.size} waited for rank ${rank}, which has ended.`,
        );
      await later(LOOK_EVERY_MS);
    }
  }

  #throwEnd(): void {
    const why = storeGet(END);
    if (why === "") throw new InterruptedError("asked to stop");
    if (why !== undefined) throw new OtherFailedError(why);
  }

  async #farewell(): Promise<void> {
    const { rank, size } = this.#group;
    if (rank > 0) return storeSet(`left ${rank}`, "");
    const until = performance.now() + FAREWELL_MS;
    for (let other = 1; other < size; other++)
      while (storeGet(`left ${other}`) === undefined && performance.now() < until) await later(LOOK_EVERY_MS / 5);
  }
}

function hasEnded([host, pid]: [string, number]): boolean {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}

/** What is told of an error. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
