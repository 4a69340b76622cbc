import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Files that were being written when the process ended bear this ending and may be deleted. */
export const ASIDE = ".part";

/**
 * Writes a file aside, flushes it and renames it, so that a file of this name is always whole: the old one or the new one.
 * If anything fails, nothing is left behind.
 *
 * @throws Error that says what could not be written, why, and what to do
 */
export function writeWhole(path: string, content: string | Uint8Array): void {
  const aside = `${path}.${process.pid}${ASIDE}`;
  try {
    const file = openSync(aside, "w");
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(aside, path);
    flushFolder(dirname(path));
  } catch (error) {
    rmSync(aside, { force: true });
    throw explainWriting(error, path);
  }
}

/** Makes a rename last through a loss of power. Some file systems refuse to flush a folder: then it is as safe as they are. */
export function flushFolder(path: string): void {
  try {
    const folder = openSync(path, "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch {}
}

/** Makes a folder and those above it. @throws Error that says what could not be made, why, and what to do */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw explainWriting(error, path);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full. Make room",
  EDQUOT: "the disk quota is used up. Make room",
  EFBIG: "the file would be larger than is allowed here. Raise the limit",
  EACCES: "it may not be written to. Correct its permissions",
  EPERM: "it may not be written to. Correct its permissions",
  EROFS: "the disk is read-only. Make it writable",
  ENOENT: "its folder is not there. Make it",
  ENOTDIR: "a part of the path is a file. Move that file",
  EEXIST: "a part of the path is a file. Move that file",
};

/** Could not be written, for a reason that the user can remove. */
export class WriteError extends Error {
  override readonly name = "WriteError";
}

/** Puts an error of the file system into words; any other error is returned as it is. */
export function explainWriting(error: unknown, path: string): unknown {
  const reason = REASONS[(error as NodeJS.ErrnoException).code ?? ""];
  if (reason === undefined || error instanceof WriteError) return error;
  return new WriteError(`Could not write ${path}: ${reason}.`, { cause: error });
}
