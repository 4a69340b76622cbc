import { randomBytes } from "node:crypto";
import {
  closeSync,
  linkSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { explainWriting } from "@iqvae/torch";
import { z } from "zod";

const holderSchema = z.object({
  pid: z.int().min(1),
  host: z.string(),
  /** Identifies the time since the machine was started, and the process numbers that `pid` is one of. Empty where they cannot be told. */
  boot: z.string(),
  processes: z.string(),
  /** When the process started, in the system's own unit: process numbers are used again. Empty where it cannot be told. */
  started: z.string(),
  /** When the lock was taken, for people. */
  since: z.string(),
});

type Holder = z.infer<typeof holderSchema>;

/** The file in a run folder that says who trains it. */
export const LOCK = "lock.json";

/** A lock that cannot be read is being written by somebody, unless it is older than this. */
const WRITTEN_WITHIN_MS = 10_000;

/**
 * Marks a run folder as being trained by this process, since two at once would mix their checkpoints.
 *
 * Whether a holder still lives can be told on its own machine only. A lock that a process of this machine left when it was killed
 * is taken over; one of another host, or of another container on this one, has to be deleted by hand.
 *
 * @returns a function that takes the mark away
 * @throws Error when another process holds it, or may hold it
 */
export function lockRun(folder: string): () => void {
  const path = join(folder, LOCK);
  const own = JSON.stringify(thisProcess());
  while (!created(path, own)) {
    const found = contentOf(path);
    if (found === undefined) continue; // It was taken away since.
    const objection = objectionTo(found, path, folder);
    if (objection !== undefined) throw new Error(objection);
    removeStale(path, found);
  }
  return () => {
    // Whoever was told to delete it may have made another one.
    if (contentOf(path) === own) rmSync(path, { force: true });
  };
}

/** Makes the lock unless there is one: of several processes that try, one succeeds. */
function created(path: string, content: string): boolean {
  let file: number;
  try {
    file = openSync(path, "wx");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw explainWriting(error, path);
  }
  try {
    writeFileSync(file, content);
    return true;
  } catch (error) {
    // An empty one would be taken for that of a process that has just begun.
    rmSync(path, { force: true });
    throw explainWriting(error, path);
  } finally {
    closeSync(file);
  }
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Why a lock must be respected; undefined for one that a dead process left. */
function objectionTo(content: string, path: string, folder: string): string | undefined {
  const holder = parse(content);
  if (holder === undefined) {
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    return age < WRITTEN_WITHIN_MS
      ? `Another process has just begun to train ${folder}. If that is not so, delete ${path}.`
      : undefined;
  }
  const { pid, host, since } = holder;
  const here = thisProcess();
  const unknown =
    `${folder} is being trained by process ${pid} of ${host} since ${since}, or was when that process was killed: from here it ` +
    `cannot be told. If it does not run any more, delete ${path}.`;
  if (host !== here.host) return unknown;
  // The machine was started anew since, and what ran then is gone.
  if (holder.boot !== here.boot && holder.boot !== "" && here.boot !== "") return undefined;
  if (holder.processes !== here.processes) return unknown;
  if (!lives(holder)) return undefined;
  const stop = pid === process.pid ? "" : ` or stop it (kill ${pid})`;
  return `${folder} is being trained by process ${pid} since ${since}. Wait for it${stop}; if that is not a training, delete ${path}.`;
}

/**
 * Takes a stale lock away, and no other: somebody may have done so, and made a new one, since it was read. Renaming decides who
 * does it, and what was renamed by mistake is put back.
 */
function removeStale(path: string, content: string): void {
  const aside = `${path}.${randomBytes(4).toString("hex")}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw explainWriting(error, path);
  }
  if (contentOf(aside) !== content) {
    try {
      linkSync(aside, path);
    } catch {} // A third process has made one meanwhile.
  }
  rmSync(aside, { force: true });
}

function parse(content: string): Holder | undefined {
  try {
    return holderSchema.safeParse(JSON.parse(content)).data;
  } catch {
    return undefined;
  }
}

function thisProcess(): Holder {
  return {
    pid: process.pid,
    host: hostname(),
    boot: told(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
    processes: told(() => readlinkSync("/proc/self/ns/pid")),
    started: statOf(process.pid)?.started ?? "",
    since: new Date().toISOString(),
  };
}

function told(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

function lives({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const now = statOf(pid);
  // A zombie has ended, and only waits for its parent to ask.
  return now === undefined || (now.state !== "Z" && (started === "" || now.started === started));
}

/** Fields 3 and 22 of Linux's `/proc/PID/stat`; the name before them may hold spaces, but ends with the last bracket. */
function statOf(pid: number): { state: string; started: string } | undefined {
  const stat = told(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  if (stat === "") return undefined;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0]!, started: fields[19]! };
}
