import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { launchOf } from "@iqvae/torch";
import { EXIT_CODES } from "../support/interrupt.ts";

const PROGRAM = fileURLToPath(new URL("../../bin/iqvae.mjs", import.meta.url));
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** How long those that are left may take to notice that one has ended; the first, which saves, may take longer. */
const GRACE_MS = 5_000;
const SAVING_MS = 120_000;

/**
 * Runs a command of the program in several processes of this machine, as torchrun would, and sets the exit code to theirs: that of the first
 * that failed. Signals are passed on to all. Should this process be killed, they save and stop.
 *
 * @param args the command and its arguments
 */
export async function runLocally(processes: number, args: readonly string[]): Promise<void> {
  const children = await startRanks(processes, args, { cores: availableParallelism(), output: "inherit" });
  let asked: (typeof SIGNALS)[number] | undefined;
  const killAll = (signal: NodeJS.Signals) => {
    for (const child of children) child.kill(signal);
  };
  const passOn = (signal: NodeJS.Signals) => {
    asked ??= signal as (typeof SIGNALS)[number];
    killAll(signal);
  };
  for (const signal of SIGNALS) process.on(signal, passOn);
  const letPausesBe = followPauses(children);
  let failed: number | undefined;
  let end: NodeJS.Timeout | undefined;
  await Promise.all(
    children.map(
      (child, rank) =>
        new Promise<void>((done) => {
          child.on("error", (error) =>
            process.stderr.write(`Process ${rank} could not be started: ${error.message}\n`),
          );
          child.on("close", (code, signal) => {
            if (signal !== null) process.stderr.write(`Process ${rank} of ${processes} was ended by ${signal}.\n`);
            if (code !== 0) {
              failed = worseOf(failed, code);
              if (rank === 0) clearTimeout(end);
              if (rank === 0 || end === undefined)
                end = setTimeout(
                  () => killAll("SIGKILL"),
                  children[0]!.exitCode === null && children[0]!.signalCode === null ? SAVING_MS : GRACE_MS,
                );
            }
            done();
          });
        }),
    ),
  );
  clearTimeout(end);
  for (const signal of SIGNALS) process.off(signal, passOn);
  letPausesBe();
  if (failed !== undefined) process.exitCode = exitCodeOf(failed, asked);
}

/**
 * Of a process whose ranks have ended. A rank may have heard of the signal from another before it came by itself, and ends as after
 * SIGTERM then.
 *
 * @param failed the code of the first rank that did not end well
 * @param asked the signal that was passed on to them
 */
export function exitCodeOf(failed: number, asked: (typeof SIGNALS)[number] | undefined): number {
  const stopped = SIGNALS.some((signal) => EXIT_CODES[signal] === failed);
  return asked !== undefined && stopped ? EXIT_CODES[asked] : failed;
}

/**
 * What counts of two ranks that did not end well: the first, unless it only heard of the other, as after SIGTERM.
 *
 * @param code nothing for a rank that was ended by a signal
 */
export function worseOf(failed: number | undefined, code: number | null): number {
  return failed === undefined || (failed === EXIT_CODES.SIGTERM && code !== null) ? (code ?? 1) : failed;
}

/** Pauses with Ctrl-Z and goes on with `fg` or `bg`, as one process does. @returns what ends it */
function followPauses(children: readonly ChildProcess[]): () => void {
  const pause = () => {
    for (const child of children) child.kill("SIGSTOP");
    process.kill(process.pid, "SIGSTOP");
  };
  const goOn = () => {
    for (const child of children) child.kill("SIGCONT");
  };
  process.on("SIGTSTP", pause).on("SIGCONT", goOn);
  return () => process.off("SIGTSTP", pause).off("SIGCONT", goOn);
}

/** Starts the ranks of a group on this machine, which share `cores` of it. */
export async function startRanks(
  processes: number,
  args: readonly string[],
  { cores, output }: { readonly cores: number; readonly output: "inherit" | "pipe" },
): Promise<ChildProcess[]> {
  const port = await freePort();
  const threads = process.env.OMP_NUM_THREADS || String(Math.max(1, Math.floor(cores / processes)));
  const common = {
    WORLD_SIZE: String(processes),
    LOCAL_WORLD_SIZE: String(processes),
    MASTER_ADDR: "127.0.0.1",
    MASTER_PORT: String(port),
    OMP_NUM_THREADS: threads,
    [MARK]: "1",
  };
  return Array.from({ length: processes }, (_, rank) =>
    spawn(process.execPath, [PROGRAM, ...args], {
      // Groups of their own: Ctrl-C reaches this process alone, which passes it on; two signals would end them unsaved.
      detached: true,
      env: { ...process.env, ...common, RANK: String(rank), LOCAL_RANK: String(rank) },
      stdio: [rank === 0 && output === "inherit" ? "inherit" : "ignore", output, output, "ipc"],
    }),
  );
}

/** Whether this is one of several processes that something has started. */
export function isLaunched(): boolean {
  return launchOf().size > 1;
}

/** Whether this process only starts others. */
export function startsOthers(processes: number | undefined): processes is number {
  if (processes === undefined) return false;
  const { size } = launchOf();
  if (size > 1 && size !== processes)
    throw new Error(
      `A launcher has started ${size} processes, and --processes asks for ${processes}: leave the option out.`,
    );
  return size === 1 && processes > 1;
}

/** The arguments of this process, for each of those that it starts in its place. */
export function argumentsForEach(args: readonly string[] = process.argv.slice(2)): string[] {
  return args.filter((arg, i) => !/^--processes(=|$)/.test(arg) && args[i - 1] !== "--processes");
}

const MARK = "IQVAE_STARTED_LOCALLY";

/** In a process of {@link runLocally}: stops in an orderly way when the one that started it is gone. */
export function followStarter(): void {
  if (process.env[MARK] === undefined || process.channel === undefined) return;
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel?.unref();
}

/** Systems give the ports from 32768 on, of Linux, or from 49152 to whoever asks for any. */
const PORTS = { first: 20_000, count: 10_000 };

/**
 * A port that is free, and that no other program is given while the ranks load libtorch. Processes that look at the same time begin at ports of
 * their own.
 */
export async function freePort(): Promise<number> {
  for (let i = 0; i < PORTS.count; i++) {
    const port = PORTS.first + ((process.pid + i) % PORTS.count);
    if (await isFree(port)) return port;
  }
  throw new Error(
    `The processes need a free port to meet at, but all from ${PORTS.first} to ${PORTS.first + PORTS.count - 1} are taken. End what listens there, or start them by a launcher with a MASTER_PORT of yours.`,
  );
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listens = await new Promise<boolean>((done) =>
    server.once("error", () => done(false)).listen(port, () => done(true)),
  );
  if (listens) await new Promise((done) => server.close(done));
  return listens;
}
