import { closeSync, openSync } from "node:fs";
import { isatty } from "node:tty";
import { ignoreHangup } from "../support/interrupt.ts";

/* What the world outside does to a program that runs for hours: readers leave, terminals are closed, disks fill up. */

const STANDARD = [0, 1, 2] as const;

/** The first error of standard output: from then on nobody reads what is said. */
let lost: NodeJS.ErrnoException | undefined;

/** Prepares a command for the loss of its output and of its terminal. Call it before anything is said. */
export function surviveLostOutput(): void {
  // Not to listen would end the process in the middle of its work. Whoever can stop early listens, too: see Interrupt.
  process.stdout.on("error", (error) => {
    lost ??= error;
  });
  process.stderr.on("error", () => {});
  if (isDetached()) ignoreHangup();
  const terminals = STANDARD.filter((file) => isatty(file));
  process.on("exit", () => {
    complainOfLostOutput();
    letGoOfTerminal(terminals);
  });
}

/** Says on standard error that standard output could not hold all, and sets the exit code. A reader that left is not a failure. */
function complainOfLostOutput(): void {
  if (lost === undefined || lost.code === "EPIPE" || lost.code === "EIO") return;
  process.stderr.write(`Output could not be written (${lost.message}): some of what this command said is missing.\n`);
  process.exitCode ||= 1;
}

/** Says a sentence where it may still be read: on standard error, once standard output is lost. */
export function sayAnyway(sentence: string): void {
  if (lost !== undefined) process.stderr.write(`${sentence}\n`);
}

/**
 * Whether the program was detached from its terminal on purpose, by `nohup` or by redirecting all three streams. Node.js sets the
 * dispositions of signals back when it starts, so whether SIGHUP was ignored cannot be asked; but nohup leaves no stream on the
 * terminal, while there still is one.
 */
function isDetached(): boolean {
  if (/(^|\/)nohup$/.test(process.env._ ?? "")) return true;
  return !STANDARD.some((file) => isatty(file)) && hasTerminal();
}

function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}

/** At its end, Node.js sets the terminal's modes back, and aborts when the terminal is not there any more. */
function letGoOfTerminal(terminals: readonly number[]): void {
  for (const file of terminals) {
    if (isatty(file)) continue;
    closeSync(file);
    openSync("/dev/null", "r+"); // takes the number that has become free
  }
}

/** @throws Error when the folder in which the command was started is not there any more: no relative path means anything then */
export function expectWorkingFolder(): void {
  try {
    process.cwd();
  } catch (error) {
    throw new Error("The working folder was deleted. Change to one that is there and start again.", { cause: error });
  }
}
