import { spawn } from "node:child_process";
import { createServer } from "node:net";

/** What a process of a group had to say, and how it ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Its lines of JSON. */
  readonly said: readonly unknown[];
  readonly stderr: string;
}

/** Below those that systems give to whoever asks for any: another test could be given it before the group is there. */
let next = 10_000 + (process.pid % 250) * 40;

/** A port that is free, as the next one is. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = next;
    next += 2;
    if ((await isFree(port)) && (await isFree(port + 1))) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listens = await new Promise<boolean>((done) =>
    server.once("error", () => done(false)).listen(port, () => done(true)),
  );
  if (listens) await new Promise((done) => server.close(done));
  return listens;
}

/** What torchrun tells rank `rank` of `size` on one machine. */
export function launcherEnv(rank: number, size: number, port: number): Record<string, string> {
  return {
    ...{ RANK: String(rank), WORLD_SIZE: String(size), LOCAL_RANK: String(rank), LOCAL_WORLD_SIZE: String(size) },
    ...{ MASTER_ADDR: "127.0.0.1", MASTER_PORT: String(port), OMP_NUM_THREADS: "1" },
  };
}

/** Runs `size` processes of a script as torchrun would on one machine, until the last has ended. */
export async function runGroup(
  size: number,
  script: readonly string[],
  env: (rank: number) => Record<string, string | undefined> = () => ({}),
): Promise<Ended[]> {
  const port = await freePort();
  return Promise.all(
    Array.from({ length: size }, (_, rank) => runOne(script, { ...launcherEnv(rank, size, port), ...env(rank) })),
  );
}

/** Runs one process to its end. @param by the beginning of its command line, of a program that runs the rest */
export function runOne(
  script: readonly string[],
  env: Record<string, string | undefined>,
  by: readonly string[] = [],
): Promise<Ended> {
  return new Promise((done, fail) => {
    const [command, ...args] = [...by, process.execPath, ...script];
    const child = spawn(command!, args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", fail);
    child.on("close", (code, signal) => {
      const said = stdout
        .split("\n")
        .filter(
          (line) => line.startsWith("{") || line.startsWith("[") || line.startsWith('"') || /^(true|false)$/.test(line),
        );
      done({ code, signal, said: said.map((line) => JSON.parse(line) as unknown), stderr });
    });
  });
}
