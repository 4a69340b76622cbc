import { mkdirSync, statSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { explainWriting } from "@iqvae/torch";

/** Makes a folder and those above it. @throws WriteError that says what could not be made, why, and what to do */
export function makeFolder(path: string): void {
  try {
    makeEach(resolve(path));
  } catch (error) {
    throw explainWriting(error, path);
  }
}

/** One after the other: Node's own way to make parents, too, never ends below /proc, where nothing can be made. */
function makeEach(path: string): void {
  if (isFolder(path)) return;
  if (dirname(path) !== path) makeEach(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    // Another process may have been faster.
    if (!isFolder(path)) throw error;
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** A writer writes all the time, so what has not changed for so long belongs to one that was killed. */
const ABANDONED_MS = 10 * 60_000;

/** Removes files and folders `PATH.….part` that a killed process left. */
export async function removeAbandoned(path: string): Promise<void> {
  const folder = dirname(path);
  if (!isFolder(folder)) return;
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(path)}.`) || !name.endsWith(".part")) continue;
    const part = join(folder, name);
    const mtimeMs = await changedAt(part);
    if (mtimeMs !== undefined && Date.now() - mtimeMs > ABANDONED_MS) await rm(part, { recursive: true, force: true });
  }
}

/** Undefined where its writer was done with it meanwhile. */
async function changedAt(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
