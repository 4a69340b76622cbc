import type { Progress } from "./progress.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
type StopSignal = (typeof SIGNALS)[number];

/**
 * Listens for Ctrl-C and its relatives. The first asks the loop to stop after the present step; from then on they have
 * their ordinary effect, so a second one ends the process at once.
 */
export class Interrupt {
  #signal: StopSignal | undefined;
  readonly #listener: (signal: NodeJS.Signals) => void;

  /** @param onRequest called at the first signal, to tell the user that it was heard */
  constructor(onRequest: (signal: NodeJS.Signals) => void = () => {}) {
    this.#listener = (signal) => {
      this.#signal = signal as StopSignal;
      this.close();
      onRequest(signal);
    };
    for (const signal of SIGNALS) process.on(signal, this.#listener);
  }

  /** Whether the loop should stop. */
  get requested(): boolean {
    return this.#signal !== undefined;
  }

  /** The exit code that shells expect of a process that a signal ended: 128 and the signal's number. */
  get exitCode(): number {
    return this.#signal === undefined ? 0 : 128 + { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 }[this.#signal];
  }

  /** Stops listening. */
  close(): void {
    for (const signal of SIGNALS) process.off(signal, this.#listener);
  }
}

/** Thrown out of a task that was asked to stop; what it had done so far is let go of. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";
}

/**
 * Passes on what it is told, and throws an {@link InterruptedError} out of the next update once a stop was requested. For tasks that
 * leave nothing half done when an update throws, and begin anew the next time: drawing data, encoding it.
 */
export function interruptible(progress: Progress, interrupt: Pick<Interrupt, "requested">): Progress {
  return {
    begin: (task, total, done) => progress.begin(task, total, done),
    update: (done, figures) => {
      progress.update(done, figures);
      if (!interrupt.requested) return;
      progress.end();
      throw new InterruptedError("asked to stop");
    },
    end: () => progress.end(),
    tell: (sentence, event) => progress.tell(sentence, event),
  };
}
