import type { Progress } from "../support/progress.ts";

/** Wall time of the parts of a scoring. */
export class Clock {
  readonly seconds: Record<string, number> = {};
  readonly #progress: Progress;

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  async time<T>(part: string, body: () => T | Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await body();
    const seconds = (performance.now() - start) / 1000;
    this.seconds[part] = (this.seconds[part] ?? 0) + seconds;
    // Lets Ctrl-C through, which the sentence may then answer.
    await new Promise(setImmediate);
    this.#progress.tell(`${part}: ${seconds.toFixed(1)} s`, { event: "timed", part, seconds });
    return result;
  }
}
