import { Pace, type Progress, type ProgressEvent } from "../support/progress.ts";

/** Where output goes; standard output outside of tests. */
export type Output = Pick<NodeJS.WriteStream, "write"> & { readonly isTTY?: boolean; readonly columns?: number };

/**
 * Bars on a terminal, lines where there is none, JSON for machines. Lines, too, on a terminal that does not know escape sequences
 * (`TERM=dumb`), and for people who do not want any (`NO_COLOR`, https://no-color.org).
 */
export function consoleProgress(options: { json: boolean; output?: Output; env?: NodeJS.ProcessEnv }): Progress {
  const { json, output = process.stdout, env = process.env } = options;
  if (json) return new JsonProgress(output);
  const plain = !output.isTTY || env.TERM === "dumb" || (env.NO_COLOR ?? "") !== "";
  return plain ? new LineProgress(output) : new BarProgress(output);
}

const SECONDS_BETWEEN_LINES = 5;
const SECONDS_BETWEEN_OBJECTS = 1;

/** Pace of the task at hand, and when it was last told of. */
abstract class PacedProgress implements Progress {
  protected task = "";
  protected total = 0;
  protected done = 0;
  protected pace = new Pace(0, 0);
  protected figures: Readonly<Record<string, number>> = {};
  #told = 0;

  /** @param interval seconds between what is told */
  constructor(private readonly interval: number) {}

  begin(task: string, total: number, done: number): void {
    Object.assign(this, { task, total, done, pace: new Pace(total, done), figures: {} });
    this.#told = performance.now();
    this.first();
  }

  update(done: number, figures: Readonly<Record<string, number>> = {}): void {
    this.done = done;
    this.figures = figures;
    this.pace.update(done);
    const now = performance.now();
    if (now - this.#told < this.interval * 1000 && done < this.total) return;
    this.#told = now;
    this.now();
  }

  abstract tell(sentence: string, event: ProgressEvent): void;
  end(): void {}
  protected abstract first(): void;
  protected abstract now(): void;
}

class LineProgress extends PacedProgress {
  constructor(private readonly output: Output) {
    super(SECONDS_BETWEEN_LINES);
  }

  tell(sentence: string): void {
    if (sentence !== "") this.output.write(`${sentence}\n`);
  }

  protected first(): void {
    const before = this.done > 0 ? `, going on from ${this.done}` : "";
    this.output.write(`${this.task}: ${this.total} in all${before}\n`);
  }

  protected now(): void {
    const parts = [`${this.task}: ${this.done} of ${this.total}`, rate(this.pace), left(this.pace), list(this.figures)];
    this.output.write(`${parts.filter((part) => part !== "").join(", ")}\n`);
  }
}

class JsonProgress extends PacedProgress {
  constructor(private readonly output: Output) {
    super(SECONDS_BETWEEN_OBJECTS);
  }

  tell(_: string, event: ProgressEvent): void {
    this.output.write(`${JSON.stringify(event)}\n`);
  }

  protected first(): void {
    this.#write({ event: "begin" });
  }

  protected now(): void {
    const { perSecond, secondsLeft = null } = this.pace;
    this.#write({ event: "progress", perSecond, secondsLeft, ...this.figures });
  }

  #write({ event, ...rest }: ProgressEvent): void {
    this.tell("", { event, task: this.task, done: this.done, total: this.total, ...rest });
  }
}

/** How often the bar is drawn anew. */
const SECONDS_BETWEEN_FRAMES = 0.1;

const BAR_LENGTH = 26;
/** Back to the first column, and the line erased. */
const ERASE = "\r\x1b[2K";

class BarProgress extends PacedProgress {
  #open = false;

  constructor(private readonly output: Output) {
    super(SECONDS_BETWEEN_FRAMES);
  }

  tell(sentence: string): void {
    if (sentence === "") return;
    // The bar stands in the line where the sentence is to go; it is drawn anew below.
    this.output.write(`${this.#open ? ERASE : ""}${sentence}\n`);
    if (this.#open) this.now();
  }

  protected first(): void {
    this.#open = true;
    this.now();
  }

  protected now(): void {
    if (!this.#open) return;
    const share = this.total > 0 ? Math.min(1, this.done / this.total) : 0;
    const full = Math.round(share * BAR_LENGTH);
    const bar = "█".repeat(full) + "░".repeat(BAR_LENGTH - full);
    const details = [rate(this.pace), left(this.pace), list(this.figures)].filter((part) => part !== "");
    const text = `${this.task} ${bar} ${Math.floor(100 * share)} %  ${this.done} of ${this.total}`;
    // A line that is wrapped could not be erased. A terminal without a size says 0.
    this.output.write(ERASE + [text, ...details].join("  ").slice(0, (this.output.columns || 80) - 1));
  }

  override end(): void {
    if (!this.#open) return;
    this.#open = false;
    const parts = [`${this.task}: ${this.done} of ${this.total}`, list(this.figures)].filter((part) => part !== "");
    this.output.write(`${ERASE}${parts.join(", ")}\n`);
  }
}

function rate({ perSecond }: Pace): string {
  return perSecond > 0 ? `${perSecond >= 10 ? perSecond.toFixed(0) : perSecond.toPrecision(2)} a second` : "";
}

function left({ secondsLeft }: Pace): string {
  return secondsLeft === undefined ? "" : `${duration(secondsLeft)} left`;
}

function list(figures: Readonly<Record<string, number>>): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value.toPrecision(4)}`)
    .join(", ");
}

/** `75` → `1:15`, `3675` → `1:01:15`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const pad = (value: number) => String(value).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}
