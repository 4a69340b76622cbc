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

/** Pieces of work after which the slower way is tried again, at the soonest. */
const AGAIN = 16;
/** How much of the time those trials may take. */
const SHARE = 0.02;
/** The weight of a new time in the running mean. */
const NEWS = 0.25;

/**
 * One thread or all, whichever is faster now. Beside other work, threads that wait for each other are often slower than one
 * alone, and nothing but the clock can tell. Both ways are timed, the slower one the more seldom the slower it is.
 */
export class ThreadChoice {
  /** Milliseconds: on one thread, on all. */
  readonly #times: [number | undefined, number | undefined] = [undefined, undefined];
  readonly #now: () => number;
  /** Since the slower way was tried; 0 while it is. */
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
    this.#learn(way, this.#now() - start);
    return result;
  }

  /** A running mean of the faster way; what is known of the slower one is old when it is tried. */
  #learn(way: 0 | 1, took: number): void {
    const before = this.#times[way];
    this.#times[way] = before === undefined || this.#pieces === 0 ? took : before + NEWS * (took - before);
  }

  #next(): 0 | 1 {
    const [one, all] = this.#times;
    if (all === undefined) return 1;
    if (one === undefined) return 0;
    const [faster, loss] = one < all ? ([0, all / one - 1] as const) : ([1, one / all - 1] as const);
    if (++this.#pieces < AGAIN || this.#pieces * SHARE < loss) return faster;
    this.#pieces = 0;
    return faster === 0 ? 1 : 0;
  }
}
