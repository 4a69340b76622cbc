import type { Progress } from "./progress.ts";

/** Why a task should stop: a signal, or that nobody can read what the program says any more. */
export type StopReason = "SIGINT" | "SIGTERM" | "SIGHUP" | "output";

/** The exit codes that shells expect: 128 and the number of the signal. A closed pipe counts as SIGPIPE. */
export const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGPIPE: 141 } as const;

/**
 * Handles SIGINT (Ctrl-C), SIGTERM, SIGHUP (the terminal was closed) and the loss of standard output. The first asks the loop to
 * stop after the present step; then SIGINT and SIGTERM have their ordinary effect again, so a second one ends the process at once.
 */
export class Interrupt {
  #exitCode: number | undefined;
  readonly #onRequest: (reason: StopReason) => void;
  readonly #onSignal = (signal: NodeJS.Signals) => {
    const reason = signal as keyof typeof EXIT_CODES & StopReason;
    this.#request(reason, EXIT_CODES[reason]);
  };
  readonly #onOutputError = ({ code }: NodeJS.ErrnoException) => {
    // EIO is what a terminal that was closed gives.
    this.#request("output", code === "EPIPE" ? EXIT_CODES.SIGPIPE : code === "EIO" ? EXIT_CODES.SIGHUP : 1);
  };

  /** @param onRequest called at the first reason to stop, to tell the user that it was heard */
  constructor(onRequest: (reason: StopReason) => void = () => {}) {
    this.#onRequest = onRequest;
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, this.#onSignal);
    // One listener is there already where the signal is to be ignored.
    if (!hangupIsIgnored) process.on("SIGHUP", this.#onSignal);
    process.stdout.on("error", this.#onOutputError);
  }

  /** Whether the loop should stop. */
  get requested(): boolean {
    return this.#exitCode !== undefined;
  }

  /** The exit code that tells why the process stopped; 0 when nothing was requested. */
  get exitCode(): number {
    return this.#exitCode ?? 0;
  }

  #request(reason: StopReason, exitCode: number): void {
    if (this.#exitCode !== undefined) return;
    this.#exitCode = exitCode;
    this.#closeForSignals();
    this.#onRequest(reason);
  }

  // A terminal that closes sends SIGHUP more than once, and errors of output come with it: those must not end the saving.
  #closeForSignals(): void {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, this.#onSignal);
  }

  /** Stops listening. */
  close(): void {
    this.#closeForSignals();
    process.off("SIGHUP", this.#onSignal);
    process.stdout.off("error", this.#onOutputError);
  }
}

let hangupIsIgnored = false;

/** Lets the process go on when its terminal is closed, as under `nohup`: no {@link Interrupt} made later hears of it. */
export function ignoreHangup(): void {
  if (hangupIsIgnored) return;
  hangupIsIgnored = true;
  process.on("SIGHUP", () => {});
}

/** Thrown out of a task that was asked to stop; its unfinished work is discarded. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";
}

/**
 * Passes on what it is told, and throws an {@link InterruptedError} out of the next update or sentence once a stop was requested. For
 * tasks that leave nothing half done when it throws, and begin anew the next time: drawing data, encoding it, scoring.
 */
export function interruptible(progress: Progress, interrupt: Pick<Interrupt, "requested">): Progress {
  const check = () => {
    if (!interrupt.requested) return;
    progress.end();
    throw new InterruptedError("asked to stop");
  };
  return {
    begin: (task, total, done) => progress.begin(task, total, done),
    update: (done, figures) => {
      progress.update(done, figures);
      check();
    },
    end: () => progress.end(),
    tell: (sentence, event) => {
      progress.tell(sentence, event);
      check();
    },
  };
}
