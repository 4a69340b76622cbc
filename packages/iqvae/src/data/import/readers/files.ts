import { createHash } from "node:crypto";
import { type Dirent, readdirSync, realpathSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PairProblem } from "../problems.ts";

/** Endings of pictures, in lower case. */
export const PICTURES = [".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".gif"] as const;

/** Endings of sounds. Only WAV files can be read, but a user hears so of each of the others, not that a partner is missing. */
export const SOUNDS = [".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"] as const;

/**
 * All files below a folder, those of its folders included; hidden ones are left out.
 *
 * @returns paths below `root`, with `/`, in an order that their names alone decide
 * @throws Error when there is no such folder
 */
export function listFiles(root: string, folder: string): string[] {
  const files: string[] = [];
  const seen = new Set<string>();
  const walk = (below: string): void => {
    const path = join(root, below);
    // A link may lead back to a folder above.
    const real = realpathSync(path);
    if (seen.has(real)) return;
    seen.add(real);
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.name.startsWith(".")) continue;
      const name = `${below}/${entry.name}`;
      const kind = kindOf(entry, join(root, name));
      if (kind === "folder") walk(name);
      if (kind === "file") files.push(name);
    }
  };
  try {
    walk(folder);
  } catch (error) {
    throw missing(root, folder, error);
  }
  return files.sort();
}

function kindOf(entry: Dirent, path: string): "file" | "folder" | "neither" {
  const found = entry.isSymbolicLink() ? statSync(path, { throwIfNoEntry: false }) : entry;
  return found?.isDirectory() ? "folder" : found?.isFile() ? "file" : "neither";
}

function missing(root: string, name: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== "ENOENT" && code !== "ENOTDIR" && code !== "EACCES") return error;
  const why = code === "EACCES" ? "cannot be read" : code === "ENOTDIR" ? "is no folder" : "is not there";
  return new Error(`${join(root, name)} ${why}. Give the folder of the data set that holds ${name}/.`, {
    cause: error,
  });
}

/** Whether there is such a folder below `root`. */
export function hasFolder(root: string, name: string): boolean {
  return statSync(join(root, name), { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** The ending of a file's name in lower case, with its dot. */
export function ending(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  return dot <= 0 ? "" : name.slice(dot).toLowerCase();
}

/** A path without its ending, and without the folder that it lies in. */
export function stem(path: string, folder: string): string {
  return path.slice(folder.length + 1, path.length - ending(path).length);
}

/**
 * What decides whether files are still those that were imported: names, lengths and times of the last change. Their content
 * is not read, since that would take as long as the import.
 */
export function fingerprint(root: string, files: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of files) {
    const { size, mtimeMs } = statSync(join(root, file));
    hash.update(`${file}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest("hex");
}

/** @throws PairProblem when it cannot be read */
export async function readWhole(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new PairProblem("unreadable file", `${path} cannot be read (${(error as Error).message})`, { cause: error });
  }
}

/** @throws PairProblem when it cannot be read or is no UTF-8 */
export async function readText(path: string): Promise<string> {
  const bytes = await readWhole(path);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new PairProblem("corrupt file", `${path} is no UTF-8 text`, { cause: error });
  }
}

/** @throws PairProblem when it cannot be read or is no JSON */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PairProblem("corrupt file", `${path} is no JSON file (${(error as Error).message})`, { cause: error });
  }
}
