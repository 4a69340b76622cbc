import { getNumThreads, setNumThreads } from "@iqvae/torch";

/** Does work on one thread, and then goes on with as many as before. */
export function onOneThread<T>(work: () => T): T {
  const threads = getNumThreads();
  if (threads === 1) return work();
  setNumThreads(1);
  try {
    return work();
  } finally {
    setNumThreads(threads);
  }
}

/** Every how many pieces of work the slower way is tried again. */
const AGAIN = 16;
/** The weight of a new time in the running mean. */
const NEWS = 0.25;

/**
 * One thread or all, whichever is faster now. Beside other work, threads that wait for each other are often slower than one
 * alone, and nothing but the clock can tell. Both ways are timed, the slower one for one piece of work in 16.
 */
export class ThreadChoice {
  /** Running means of milliseconds: on one thread, on all. */
  readonly #means: [number | undefined, number | undefined] = [undefined, undefined];
  readonly #now: () => number;
  #pieces = 0;

  /** @param now milliseconds; for tests */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  run<T>(work: () => T): T {
    if (getNumThreads() === 1) return work();
    const way = this.#next();
    const start = this.#now();
    const result = way === 0 ? onOneThread(work) : work();
    const took = this.#now() - start;
    const mean = this.#means[way];
    this.#means[way] = mean === undefined ? took : mean + NEWS * (took - mean);
    return result;
  }

  #next(): 0 | 1 {
    const [one, all] = this.#means;
    if (all === undefined) return 1;
    if (one === undefined) return 0;
    const again = ++this.#pieces % AGAIN === 0;
    return one < all !== again ? 0 : 1;
  }
}
