import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "@iqvae/torch";

interface Holder {
  readonly pid: number;
  /** When the process started, in the system's own unit: process numbers are used again. Empty where it cannot be told. */
  readonly started: string;
}

/**
 * Marks a run folder as being trained by this process, since two at once would mix their checkpoints.
 *
 * @returns a function that takes the mark away
 * @throws Error when another living process holds it; a mark that a killed process left is taken over
 */
export function lockRun(folder: string): () => void {
  const path = join(folder, "lock.json");
  const holder = readHolder(path);
  if (holder !== undefined && holder.pid !== process.pid && lives(holder)) {
    throw new Error(
      `${folder} is being trained by process ${holder.pid}. Wait for it or stop it (kill ${holder.pid}); ` +
        `if that is no training, delete ${path}.`,
    );
  }
  replaceFile(path, JSON.stringify({ pid: process.pid, started: startOf(process.pid) ?? "" } satisfies Holder));
  return () => rmSync(path, { force: true });
}

function readHolder(path: string): Holder | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(path, "utf8")) as Partial<Holder>;
    return Number.isInteger(pid) && typeof started === "string" ? { pid: pid!, started } : undefined;
  } catch {
    return undefined;
  }
}

function lives({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const now = startOf(pid);
  return now === undefined || started === "" || now === started;
}

/** Field 22 of Linux's `/proc/PID/stat`; the name before it may hold spaces, but ends with the last bracket. */
function startOf(pid: number): string | undefined {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return undefined;
  const stat = readFileSync(path, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
}
