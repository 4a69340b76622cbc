import { type Dirent, readdirSync, realpathSync, statSync } from "node:fs";
import { join, sep } from "node:path";
import { reasonOf } from "../../../media/read-file.ts";

const DECODED = [".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".tif", ".tiff", ".gif", ".svg"] as const;
const NOT_DECODED = [".heic", ".heif", ".bmp", ".jxl", ".jp2", ".tga", ".ppm", ".pgm"] as const;

/** Endings of pictures, in lower case. Of each that cannot be decoded a user hears so, not that there is none. */
export const PICTURES: readonly string[] = [...DECODED, ...NOT_DECODED];

/** Endings of sounds. Only WAV files can be read, but a user hears so of each of the others, not that a partner is missing. */
export const SOUNDS = [".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"] as const;

/** Something in a folder that is neither a file nor a folder that can be read. */
export interface LeftOut {
  readonly name: string;
  readonly reason: string;
}

/** The folder of a data set, and what could not be looked at while its files were listed. */
export class FileTree {
  readonly root: string;
  readonly #leftOut = new Map<string, string>();

  constructor(root: string) {
    this.root = root;
  }

  get leftOut(): readonly LeftOut[] {
    return [...this.#leftOut].map(([name, reason]) => ({ name, reason }));
  }

  /** The place of a file that {@link list} names. */
  at(file: string): string {
    return join(this.root, file);
  }

  /** Whether there is such a folder. */
  has(folder: string): boolean {
    try {
      return statSync(this.at(folder)).isDirectory();
    } catch {
      return false;
    }
  }

  /**
   * All files below a folder, those of its folders included; hidden ones are not listed. What cannot be listed is {@link leftOut}. A
   * folder is listed wherever a link leads to it, but not within itself.
   *
   * @param endings in lower case; without them, all files
   * @param once whether to list a folder that links lead to just once: where paths say nothing, its files would be there twice
   * @returns paths below the root, with `/`, in an order that their names alone decide
   * @throws Error when there is no such folder, or it cannot be read
   */
  list(folder: string, endings?: readonly string[], { once = false } = {}): string[] {
    const files: string[] = [];
    const seen = new Set<string>();
    const walk = (below: string, above: readonly string[]): void => {
      const real = join(realpathSync(this.at(below)), sep);
      // A link may lead back to a folder above.
      if (above.some((folder) => folder.startsWith(real)) || (once && seen.has(real))) return;
      seen.add(real);
      for (const { name, kind } of this.#entries(below)) {
        if (kind === "file") files.push(name);
        if (kind === "folder") this.#attempt(name, () => walk(name, [...above, real]));
      }
    };
    try {
      walk(folder, []);
    } catch (error) {
      throw missing(this.at(folder), folder, error);
    }
    return files.filter((file) => endings?.includes(ending(file)) ?? true).sort();
  }

  #entries(below: string): { readonly name: string; readonly kind: "file" | "folder" }[] {
    // As bytes, since a name need not be UTF-8.
    const entries = readdirSync(this.at(below), {
      withFileTypes: true,
      encoding: "buffer",
    }) as unknown as Dirent<Buffer>[];
    const known = entries
      .sort((a, b) => Buffer.compare(a.name, b.name))
      .flatMap((entry) => {
        const name = this.#nameOf(entry.name, below);
        if (name === undefined || entry.name[0] === DOT) return [];
        const kind = this.#attempt(name, () => kindOf(entry, this.at(name)));
        return kind === undefined ? [] : [{ name, kind }];
      });
    return known;
  }

  #nameOf(bytes: Buffer, below: string): string | undefined {
    try {
      return `${below}/${new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)}`;
    } catch {
      this.#leftOut.set(`${below}/${bytes.toString("utf8")}`, "its name is not UTF-8");
      return undefined;
    }
  }

  /** What the file system refuses is left out, and the rest goes on. */
  #attempt<T>(name: string, task: () => T): T | undefined {
    try {
      return task();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
      this.#leftOut.set(name, reasonOf(error));
      return undefined;
    }
  }
}

const DOT = ".".charCodeAt(0);

/** @throws what the file system says of a link that leads nowhere */
function kindOf(entry: Dirent<Buffer>, path: string): "file" | "folder" | undefined {
  const found = entry.isSymbolicLink() ? statSync(path) : entry;
  return found.isDirectory() ? "folder" : found.isFile() ? "file" : undefined;
}

function missing(path: string, folder: string, error: unknown): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === undefined) return error;
  const why =
    code === "ENOENT" ? "is not there" : code === "ENOTDIR" ? "is not a folder" : `cannot be read: ${reasonOf(error)}`;
  const what = folder === "." ? "" : ` that holds ${folder}/`;
  return new Error(`${path} ${why}. Give the folder of the data set${what}.`, { cause: error });
}

/** The ending of a file's name in lower case, with its dot. */
export function ending(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  return dot <= 0 ? "" : name.slice(dot).toLowerCase();
}

/**
 * What a file is called: its path without its ending, and without the folder that it lies in. Some systems store an accent as a
 * character of its own, so names are compared as they are composed (Unicode Standard Annex 15, form NFC).
 */
export function stem(path: string, folder: string): string {
  return path.slice(folder.length + 1, path.length - ending(path).length).normalize("NFC");
}
