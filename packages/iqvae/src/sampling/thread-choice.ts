import { getThreads, setThreads } from "@iqvae/torch";

/** Every how many pieces of work the slower way is tried again. */
const AGAIN = 16;
/** The weight of a new time in the running mean. */
const NEWS = 0.25;

/**
 * One thread or all, whichever is faster now. Beside other work, threads that wait for each other are often slower than one
 * alone, and nothing but the clock can tell. Both ways are timed, the slower one for one piece of work in 16.
 */
export class ThreadChoice {
  /** Running means of milliseconds for a unit of work: on one thread, on all. */
  readonly #means: [number | undefined, number | undefined] = [undefined, undefined];
  readonly #now: () => number;
  #pieces = 0;

  /** @param now milliseconds; for tests */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** @param size of this piece of work, in any unit in which all pieces take about as long */
  run<T>(work: () => T, size = 1): T {
    const threads = getThreads();
    if (threads === 1) return work();
    const way = this.#next();
    if (way === 0) setThreads(1);
    try {
      const start = this.#now();
      const result = work();
      const took = (this.#now() - start) / size;
      const mean = this.#means[way];
      this.#means[way] = mean === undefined ? took : mean + NEWS * (took - mean);
      return result;
    } finally {
      if (way === 0) setThreads(threads);
    }
  }

  #next(): 0 | 1 {
    const [one, all] = this.#means;
    if (all === undefined) return 1;
    if (one === undefined) return 0;
    const again = ++this.#pieces % AGAIN === 0;
    return one < all !== again ? 0 : 1;
  }
}
