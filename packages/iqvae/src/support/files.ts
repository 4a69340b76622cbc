import { mkdirSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { explainWriting } from "@iqvae/torch";

/** Makes a folder and those above it. @throws WriteError that says what could not be made, why, and what to do */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw explainWriting(error, path);
  }
}

/** A writer writes all the time, so what has not changed for so long belongs to one that was killed. */
const ABANDONED_MS = 10 * 60_000;

/** Removes files and folders `PATH.….part` that a killed process left. */
export async function removeAbandoned(path: string): Promise<void> {
  const folder = dirname(path);
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(path)}.`) || !name.endsWith(".part")) continue;
    const part = join(folder, name);
    const { mtimeMs } = await stat(part);
    if (Date.now() - mtimeMs > ABANDONED_MS) await rm(part, { recursive: true, force: true });
  }
}
