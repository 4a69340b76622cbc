/** Something that happened, for machines; the loop's and the commands' own names stand in `event`. */
export interface ProgressEvent {
  readonly event: string;
  readonly [detail: string]: unknown;
}

/** Where a training says how far it is. */
export interface Progress {
  /** A task begins. @param done how much of `total` was done before, in an interrupted run */
  begin(task: string, total: number, done: number): void;
  /** @param figures shown beside the rate, such as the loss */
  update(done: number, figures?: Readonly<Record<string, number>>): void;
  end(): void;
  /** Says a sentence to people, or the event to machines. */
  tell(sentence: string, event: ProgressEvent): void;
}

/** Says nothing. */
export const silent: Progress = { begin() {}, update() {}, end() {}, tell() {} };

/** Seconds over which a rate is measured. */
const WINDOW = 15;

/** Rate and time left of a task, from its last seconds. */
export class Pace {
  readonly #total: number;
  readonly #clock: () => number;
  #marks: { at: number; done: number }[] = [];

  /** @param clock seconds */
  constructor(total: number, done: number, clock: () => number = () => performance.now() / 1000) {
    this.#total = total;
    this.#clock = clock;
    this.update(done);
  }

  update(done: number): void {
    const at = this.#clock();
    this.#marks.push({ at, done });
    // The oldest mark stays just outside of the window, so that a slow task keeps two.
    while (this.#marks.length > 2 && this.#marks[1]!.at < at - WINDOW) this.#marks.shift();
  }

  /** Done per second; 0 while nothing is known. */
  get perSecond(): number {
    const first = this.#marks[0]!;
    const last = this.#marks.at(-1)!;
    return last.at > first.at ? (last.done - first.done) / (last.at - first.at) : 0;
  }

  /** Seconds until the end; undefined while nothing is known. */
  get secondsLeft(): number | undefined {
    const rate = this.perSecond;
    return rate > 0 ? (this.#total - this.#marks.at(-1)!.done) / rate : undefined;
  }
}
