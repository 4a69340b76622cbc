import { statSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { dirname, extname, resolve } from "node:path";
import type { SampleOptions } from "@iqvae/runtime";
import { checkWritable, cudaDeviceCount, didYouMean, torchVersion } from "@iqvae/torch";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { makeFolder } from "../support/files.ts";

/** Options that every command has. */
export interface GlobalOptions {
  readonly json: boolean;
  readonly debug: boolean;
}

/** The options of a command with those that all have. */
export function optionsOf<T>(command: Command): T & GlobalOptions {
  const given = command.optsWithGlobals<T & Partial<GlobalOptions>>();
  return { ...given, json: given.json ?? false, debug: given.debug ?? false };
}

/** A parser of whole numbers. */
export function whole(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^-?\d+$/.test(text) && value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    throw new InvalidArgumentError(`Expected a whole number ${range}.`);
  };
}

/** What a command says of {@link threads}. */
export const THREADS = ["--threads <count>", "threads to compute with (default: all cores)"] as const;

/** More threads than this for each core wait for each other, and thousands use up the machine. */
const THREADS_A_CORE = 4;

/** A parser of numbers of threads, or of processes: some may share a core, but not any number. */
export const threads = whole(1, THREADS_A_CORE * Math.max(cpus().length, availableParallelism()));

/** What commands say that share their work among processes. @param usual how many there are where none were asked for */
export const processesOption = (usual = "1") =>
  [
    "--processes <count>",
    `processes of this machine that share the work; those that torchrun or Slurm started join by themselves (default: ${usual})`,
  ] as const;

/** A parser of numbers above `above`, up to `most`. */
export function numberAbove(above: number, most = Number.POSITIVE_INFINITY): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isFinite(value) && value > above && value <= most) return value;
    throw new InvalidArgumentError(
      `Expected a number above ${above}${Number.isFinite(most) ? `, at most ${most}` : ""}.`,
    );
  };
}

/** A parser of words. */
export function oneOf<T extends string>(choices: readonly T[]): (text: string) => T {
  return (text) => {
    const choice = choices.find((one) => one === text);
    if (choice !== undefined) return choice;
    throw new InvalidArgumentError(`There is no '${text}'; ${didYouMean(text, choices)}`);
  };
}

/** The option of commands that take conditions out of files. */
export const CONDITION = [
  "--condition <file>",
  "a file with a condition (image, JSON or WAV, as the kind asks for), or the text itself; may be repeated",
] as const;

/** The option of commands that score runs. */
export const PART = [
  "--part <name>",
  "held-out pairs to score on: tune while settings are looked for, or report",
] as const;

/** What a command says of {@link device}; the default is `cpu`. */
export const DEVICE = ["--device <name>", "cpu, cuda or cuda:NUMBER"] as const;

/** A parser of devices that this machine has. */
export function device(text: string): string {
  const [, name, number = "0"] = /^(cpu|cuda)(?::(\d+))?$/.exec(text) ?? [];
  if (name === undefined || (name === "cpu" && text !== "cpu"))
    throw new InvalidArgumentError("Expected cpu, cuda or cuda:NUMBER.");
  if (name === "cpu") return text;
  const count = cudaDeviceCount();
  if (count === 0)
    throw new InvalidArgumentError(
      `libtorch ${torchVersion()} sees no CUDA device. Build against one with CUDA (docs/architecture.md, "Which libtorch"), ` +
        "or leave the option out.",
    );
  if (Number(number) >= count) throw new InvalidArgumentError(`The last CUDA device is cuda:${count - 1}.`);
  return `cuda:${Number(number)}`;
}

/** Collects the values of an option that may be given several times. */
export function collect<T>(parse: (text: string) => T): (text: string, before: T[] | undefined) => T[] {
  return (text, before) => [...(before ?? []), parse(text)];
}

/** How a command was asked to draw; all else is as the model's configuration says. */
export function drawingAsked({ temperature, topK, topP, guidance }: DrawingOptions): DrawingOptions {
  const given = Object.entries({ temperature, topK, topP, guidance }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given);
}

type DrawingOptions = Pick<SampleOptions, "temperature" | "topK" | "topP" | "guidance">;

/**
 * The file that a command is to write: the one that was asked for, or the usual one.
 *
 * @param read files that the command reads: what a person painted is not to be lost
 * @throws WriteError when it cannot be written, Error when its ending is that of another format or it is one of those that are read; now,
 *   and not after the work
 */
export function outputFile(asked: string | undefined, usual: string, read: readonly string[] = []): string {
  if (asked !== undefined && read.some((file) => resolve(file) === resolve(asked)))
    throw new Error(`--out ${asked} is a file that this reads, and would be lost. Choose another name.`);
  // A copy of a run may lack folders that were empty.
  if (asked === undefined) makeFolder(dirname(usual));
  checkWritable(asked ?? usual);
  if (asked !== undefined) checkEnding(asked, extname(usual));
  return asked ?? usual;
}

/** Names without an ending promise nothing, nor do those of devices and pipes. */
function checkEnding(path: string, expected: string): void {
  const ending = extname(path);
  if (["", expected].includes(ending.toLowerCase())) return;
  const there = statSync(path, { throwIfNoEntry: false });
  if (there === undefined || there.isFile())
    throw new Error(
      `--out ${path}: the file would not be what ${ending} says. Choose a name that ends in ${expected}.`,
    );
}
