import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ProgressEvent } from "../support/progress.ts";

/** A command of the program in a process of its own. */
export interface Child {
  /** Rejects with what the command had to say when it failed, or was interrupted. */
  readonly ended: Promise<void>;
  /** Asks it to save and stop. */
  interrupt(): void;
}

const PROGRAM = fileURLToPath(new URL("../../bin/iqvae.mjs", import.meta.url));

/**
 * Starts `iqvae ARGUMENTS --json`.
 *
 * It is a process group of its own, so that Ctrl-C in a terminal reaches this process alone, which passes it on: two signals
 * would end it unsaved. Should this process be killed, the child loses its output with the next line of it, saves and ends.
 *
 * @param threads of its operators
 */
export function startChild(args: readonly string[], threads: number, onEvent: (event: ProgressEvent) => void): Child {
  const child = spawn(process.execPath, [PROGRAM, ...args, "--json", "--threads", String(threads)], {
    detached: true,
    env: { ...process.env, OMP_NUM_THREADS: String(threads), OPENBLAS_NUM_THREADS: String(threads) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  let complaint: string | undefined;
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-2000);
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = parse(line);
    if (event?.event === "error") complaint = String(event.message);
    if (event !== undefined) onEvent(event);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) return resolve();
      const reason = complaint ?? (said.trim() || `it ended with ${signal ?? `code ${code}`}`);
      reject(new Error(reason));
    });
  });
  return { ended, interrupt: () => void child.kill("SIGINT") };
}

function parse(line: string): ProgressEvent | undefined {
  try {
    return JSON.parse(line) as ProgressEvent;
  } catch {
    return undefined;
  }
}
