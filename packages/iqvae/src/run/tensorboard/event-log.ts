import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { explainWriting } from "@iqvae/torch";
import { makeFolder } from "../../support/files.ts";
import type { Stage } from "../../support/trainer.ts";
import type { MetricsRecord, MetricsSink } from "../metrics-log.ts";
import { type Event, encodeEvent } from "./events.ts";

type Split = MetricsRecord["split"];

/** An event without the time, which is that of writing. */
type Told = Event extends infer E ? (E extends Event ? Omit<E, "wallTime"> : never) : never;

/**
 * A run for TensorBoard, beside its log: `tensorboard --logdir runs`. Each stage and split has a folder of its own, so that
 * training and held-out curves share a chart and the steps of the stages do not mix. Every session writes new files and says from
 * which step on it tells anew, and TensorBoard drops what an interrupted one told beyond it.
 */
export class EventLog implements MetricsSink {
  readonly #folder: string;
  readonly #files = new Map<string, EventFile>();

  /** @param folder where the folders of stages and splits lie; made when there is something to tell */
  constructor(folder: string) {
    this.#folder = folder;
  }

  append({ stage, step, split, ...figures }: MetricsRecord): void {
    const numbers = Object.entries(figures).filter((entry): entry is [string, number] => typeof entry[1] === "number");
    const values = Object.fromEntries(numbers.map(([name, value]) => [`${stage}/${name}`, value]));
    this.#file(stage, split).write({ kind: "scalars", step, values });
  }

  /** Shows a PNG file among the held-out figures of a stage. */
  picture(stage: Stage, step: number, name: string, path: string): void {
    const png = readFileSync(path);
    const { width, height } = sizeOfPng(png);
    this.#file(stage, "validation").write({ kind: "image", step, tag: `${stage}/${name}`, width, height, png });
  }

  cutBack(stage: Stage, step: number): void {
    for (const split of ["train", "validation"] as const) {
      // Steps up to that of the checkpoint stay, so what is void begins with the next.
      if (filesIn(this.#path(stage, split)).length > 0)
        this.#file(stage, split).write({ kind: "start", step: step + 1 });
    }
  }

  flush(): void {
    for (const file of this.#files.values()) file.flush();
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }

  #path(stage: Stage, split: Split): string {
    return join(this.#folder, stage, split);
  }

  #file(stage: Stage, split: Split): EventFile {
    const path = this.#path(stage, split);
    let file = this.#files.get(path);
    if (file === undefined) {
      const first = filesIn(path).length === 0;
      file = new EventFile(path);
      this.#files.set(path, file);
      if (first) file.write({ kind: "start", step: 0 });
    }
    return file;
  }
}

/** One file of events, made at once. */
class EventFile {
  readonly path: string;
  readonly #file: number;
  #length = 0;

  constructor(folder: string) {
    makeFolder(folder);
    this.path = join(folder, nextName(folder));
    try {
      this.#file = openSync(this.path, "ax");
    } catch (error) {
      throw explainWriting(error, this.path);
    }
    this.write({ kind: "version", step: 0 });
  }

  /** Adds an event. If the disk is full, it is taken back as a whole. */
  write(told: Told): void {
    const encoded = encodeEvent({ ...told, wallTime: Date.now() / 1000 });
    try {
      for (let done = 0; done < encoded.length; ) done += writeSync(this.#file, encoded, done);
      this.#length += encoded.length;
    } catch (error) {
      ftruncateSync(this.#file, this.#length);
      throw explainWriting(error, this.path);
    }
  }

  flush(): void {
    try {
      fsyncSync(this.#file);
    } catch (error) {
      throw explainWriting(error, this.path);
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}

const NAME = /^events\.out\.tfevents\.(\d+)\./;

function filesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).filter((name) => NAME.test(name)) : [];
}

/** TensorBoard reads the files of a folder by their names, so a later one needs a later time. */
function nextName(folder: string): string {
  const times = filesIn(folder).map((name) => Number(NAME.exec(name)![1]));
  const time = Math.max(Math.floor(Date.now() / 1000), ...times.map((each) => each + 1));
  return `events.out.tfevents.${String(time).padStart(10, "0")}.${hostname()}.${process.pid}.0`;
}

/** Width and height stand in the first chunk of every PNG, at fixed places. */
function sizeOfPng(png: Buffer): { width: number; height: number } {
  return { width: png.readUInt32BE(16), height: png.readUInt32BE(20) };
}
