import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { explainWriting, replaceFile } from "@iqvae/torch";
import { reasonOf } from "../media/read-file.ts";
import { STAGES, type Stage } from "../support/trainer.ts";

/** One line of `metrics.jsonl`. */
export interface MetricsRecord {
  readonly stage: Stage;
  /** Steps done in this stage. */
  readonly step: number;
  /** `train`: means since the line before; `validation`: figures on held-out data. */
  readonly split: "train" | "validation";
  readonly [figure: string]: number | string;
}

/** Who is told all that the log is told. */
export interface MetricsSink {
  append(record: MetricsRecord): void;
  /** What came after `step` of `stage` is void. */
  cutBack(stage: Stage, step: number): void;
  flush(): void;
}

/**
 * The log of a run, one JSON object a line. It can be cut back to a checkpoint, so that a run that was interrupted between
 * two checkpoints has every line once.
 */
export class MetricsLog {
  readonly path: string;
  #file: number | undefined;
  #length = 0;
  #mirror: MetricsSink | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Tells `sink` all that the log is told from now on; without one, nobody. */
  mirror(sink: MetricsSink | undefined): void {
    this.#mirror = sink;
  }

  /** Adds a line. If the disk is full, the line is taken back as a whole, also where the mirror has no room for it. */
  append(record: MetricsRecord): void {
    this.#attempt((file) => {
      const line = Buffer.from(`${JSON.stringify(record)}\n`);
      try {
        for (let done = 0; done < line.length; ) done += writeSync(file, line, done);
        this.#mirror?.append(record);
      } catch (error) {
        ftruncateSync(file, this.#length);
        throw error;
      }
      this.#length += line.length;
    });
  }

  /** Which kinds of lines there are of a step. */
  splitsAt(stage: Stage, step: number): Set<MetricsRecord["split"]> {
    const lines = readMetrics(this.path).filter((record) => record.stage === stage && record.step === step);
    return new Set(lines.map(({ split }) => split));
  }

  /** Makes the lines so far last through a loss of power. */
  flush(): void {
    if (this.#file !== undefined) this.#attempt(fsyncSync);
    this.#mirror?.flush();
  }

  /** Drops all that came after `step` of `stage`: later lines, lines of later stages, a half last line. */
  cutBack(stage: Stage, step: number): void {
    this.close();
    this.#mirror?.cutBack(stage, step);
    if (!existsSync(this.path)) return;
    const order = (record: { stage: Stage }) => STAGES.indexOf(record.stage) - STAGES.indexOf(stage);
    const kept = readMetrics(this.path).filter((r) => order(r) < 0 || (order(r) === 0 && r.step <= step));
    replaceFile(this.path, kept.map((record) => `${JSON.stringify(record)}\n`).join(""));
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #attempt(action: (file: number) => void): void {
    try {
      if (this.#file === undefined) {
        this.#length = existsSync(this.path) ? readFileSync(this.path).length : 0;
        this.#file = openSync(this.path, "a");
      }
      action(this.#file);
    } catch (error) {
      throw explainWriting(error, this.path);
    }
  }
}

/**
 * All whole lines of a log; none if there is no file.
 *
 * @throws Error for a file that cannot be read, and for a line that is not a record, unless it is the last and has no end: that is
 *   what a kill leaves
 */
export function readMetrics(path: string): MetricsRecord[] {
  if (!existsSync(path)) return [];
  const lines = textOf(path).split("\n");
  lines.pop(); // What follows the last line end: nothing, or a half line.
  return lines.map((line, i) => {
    const record = parse(line);
    if (record === undefined) {
      throw new Error(`${path}, line ${i + 1} is not a metrics record: ${line.slice(0, 80)}. Delete that line.`);
    }
    return record;
  });
}

/** Without the byte-order mark that an editor may have put before it. */
function textOf(path: string): string {
  try {
    return new TextDecoder().decode(readFileSync(path));
  } catch (error) {
    throw new Error(`The log ${path} cannot be read: ${reasonOf(error)}.`, { cause: error });
  }
}

function parse(line: string): MetricsRecord | undefined {
  try {
    const value = JSON.parse(line) as Partial<MetricsRecord> | null;
    const whole = value !== null && STAGES.includes(value.stage as Stage) && Number.isInteger(value.step);
    return whole ? (value as MetricsRecord) : undefined;
  } catch {
    return undefined;
  }
}

/** The state of {@link Means}, as plain JSON. */
export interface MeansState {
  readonly count: number;
  readonly sums: Readonly<Record<string, number>>;
  /** In how many steps each was among the metrics. Older states do not say: in all. */
  readonly counts?: Readonly<Record<string, number>> | undefined;
}

/**
 * Means of metrics over the steps since the last line, of each over those that have it. Its state goes into the checkpoint, so that no line
 * changes.
 */
export class Means {
  #count = 0;
  #all = new Map<string, { sum: number; count: number }>();

  add(metrics: Readonly<Record<string, number>>): void {
    this.#count++;
    for (const [name, value] of Object.entries(metrics)) {
      const { sum, count } = this.#all.get(name) ?? { sum: 0, count: 0 };
      this.#all.set(name, { sum: sum + value, count: count + 1 });
    }
  }

  /** Steps so far. */
  get count(): number {
    return this.#count;
  }

  /** The means so far. */
  get current(): Record<string, number> {
    return this.#each(({ sum, count }) => sum / count);
  }

  /** Begins anew. */
  clear(): void {
    this.#count = 0;
    this.#all.clear();
  }

  get state(): MeansState {
    return { count: this.#count, sums: this.#each(({ sum }) => sum), counts: this.#each(({ count }) => count) };
  }

  restore({ count, sums, counts }: MeansState): void {
    this.#count = count;
    this.#all = new Map(Object.entries(sums).map(([name, sum]) => [name, { sum, count: counts?.[name] ?? count }]));
  }

  #each(value: (mean: { readonly sum: number; readonly count: number }) => number): Record<string, number> {
    return Object.fromEntries([...this.#all].map(([name, mean]) => [name, value(mean)]));
  }
}
