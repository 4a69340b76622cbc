import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Host } from "./host.ts";

export const program = fileURLToPath(new URL("../../bin/iqvae.mjs", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** The compiled program in a workspace of its own, as a user has it. */
export class Workspace {
  readonly path = mkdtempSync(join(tmpdir(), "iqvae-cli-"));
  readonly #host = new Host({ cwd: this.path, env: this.env });

  constructor() {
    // Caches lie below the folder that has workspaces.
    writeFileSync(join(this.path, "package.json"), '{ "workspaces": [] }');
  }

  /** The environment of its processes. */
  get env(): NodeJS.ProcessEnv {
    return { ...process.env, OMP_NUM_THREADS: "1", IQVAE_CACHE: join(this.path, "cache") };
  }

  /** Starts the program; `ended` resolves when it is over. */
  start(...args: string[]) {
    return this.startBy([process.execPath], args);
  }

  /** The same by another command, and with more variables. */
  startBy([command, ...before]: readonly string[], args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const child = spawn(command!, [...before, program, ...args], {
      cwd: this.path,
      env: { ...this.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const text = { out: "", err: "" };
    child.stdout.on("data", (data) => (text.out += data));
    child.stderr.on("data", (data) => (text.err += data));
    const ended = new Promise<Ended>((done) => child.on("close", (code, signal) => done({ code, signal, ...text })));
    /** Resolves when the output so far has `part`, `times` times over, or at the end. */
    const said = (part: string, times = 1) =>
      new Promise<void>((done) => {
        const look = () => void ((text.out + text.err).split(part).length > times && done());
        child.stdout.on("data", look);
        child.stderr.on("data", look);
        child.on("close", () => done());
        look();
      });
    return { child, ended, said, text };
  }

  /** Runs a command in a process of its own. */
  run(...args: string[]): Promise<Ended> {
    return this.start(...args).ended;
  }

  /** Runs a command in one process after the others: for all that does not depend on how a process begins and ends. */
  command(...args: string[]): Promise<Ended> {
    return this.#host.run(args);
  }

  at(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  remove(): void {
    this.#host.close();
    rmSync(this.path, { recursive: true, force: true });
  }
}
