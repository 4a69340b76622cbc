import { randomBytes } from "node:crypto";
import {
  accessSync,
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fsyncSync,
  lstatSync,
  openSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

/** Files that were being written when the process ended have this ending and may be deleted. */
export const ASIDE = ".part";

/** A file could not be written, for a reason that the user can remove. */
export class WriteError extends Error {
  override readonly name = "WriteError";
}

/**
 * Writes a file so that under this name there is always a whole one, the old or the new: the content is written aside, flushed
 * to the disk and renamed. A link stays, and the file that it points to is replaced. What is not a regular file (a device, a
 * pipe) cannot be replaced and is written to. If anything fails, no other file is left behind.
 *
 * @throws WriteError that says what could not be written, why, and what to do
 */
export function replaceFile(path: string, content: string | Uint8Array): void {
  const file = new FileReplacement(path);
  try {
    file.write(content);
    file.commit();
  } finally {
    file.discard();
  }
}

/**
 * Finds out whether {@link replaceFile} could write a file, before long work goes into its content.
 *
 * @throws WriteError as {@link replaceFile}
 */
export function checkWritable(path: string): void {
  // What is not replaced is not opened either: a reader at the other end would see that.
  if (attempt(path, () => targetOf(path)).kind === "replace") new FileReplacement(path).discard();
}

/** A file that is written piece by piece, and takes its place when it is whole. For small files: {@link replaceFile}. */
export class FileReplacement {
  readonly path: string;
  readonly #target: Target;
  /** Where the content goes until it is whole. */
  readonly #written: string;
  #file: number | undefined;

  /** @throws WriteError when the file cannot be written, or replaced */
  constructor(path: string) {
    this.path = path;
    this.#target = attempt(path, () => targetOf(path));
    const { kind, path: target } = this.#target;
    this.#written = kind === "through" ? target : asideOf(target);
    this.#file = attempt(path, () => openSync(this.#written, kind === "through" ? "w" : "wx+"), target);
  }

  /** Its descriptor, to go back in what was written: for reading and writing, where the file is a regular one. */
  get descriptor(): number {
    if (this.#file === undefined) throw new Error(`${this.path} is written already`);
    return this.#file;
  }

  /** Adds to the content. @throws WriteError for a full disk, say */
  write(content: string | Uint8Array): void {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    attempt(this.path, () => {
      // The system may take less than it was given.
      for (let done = 0; done < bytes.length; ) done += writeSync(this.descriptor, bytes, done);
    });
  }

  /** Puts the file in its place. @throws WriteError when that fails; the old one stays then */
  commit(): void {
    const target = this.#target;
    attempt(this.path, () => {
      if (target.kind === "through") return this.#close();
      if (target.mode !== undefined) fchmodSync(this.descriptor, target.mode);
      fsyncSync(this.descriptor);
      this.#close();
      putInPlace(this.#written, target.path);
    });
  }

  /** Removes what was written, unless it was put in its place. */
  discard(): void {
    if (this.#file === undefined) return;
    this.#close();
    if (this.#target.kind === "replace") rmSync(this.#written, { force: true });
  }

  #close(): void {
    const file = this.descriptor;
    this.#file = undefined;
    closeSync(file);
  }
}

/** Where the content of a file goes: into a new file that takes the place of `path`, or into what is there. */
type Target =
  | { readonly kind: "replace"; readonly path: string; readonly mode: number | undefined }
  | { readonly kind: "through"; readonly path: string };

function targetOf(path: string): Target {
  // Node would take a name with this ending for a file in some calls and for a folder in others.
  if (path === "" || /[/\\]$/.test(path)) throw systemError("EISDIR");
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    const link = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
    return link ? targetOf(linkedFrom(path)) : { kind: "replace", path, mode: undefined };
  }
  if (found.isDirectory()) throw systemError("EISDIR");
  // Root may write anything, and whoever may write to the folder could replace the file: neither is what "read-only" means.
  if ((found.mode & 0o222) === 0) throw systemError("EACCES");
  accessSync(path, constants.W_OK);
  const real = found.isFile() ? realPath(path, found) : undefined;
  return real === undefined ? { kind: "through", path } : { kind: "replace", path: real, mode: found.mode & 0o777 };
}

/** The path without links; undefined where the file has none any more, such as one that was deleted while it is open. */
function realPath(path: string, { dev, ino }: Stats): string | undefined {
  try {
    const real = realpathSync(path);
    const same = statSync(real);
    return same.dev === dev && same.ino === ino ? real : undefined;
  } catch {
    return undefined;
  }
}

/** Names may have 255 bytes in most file systems, so the ending must not make a long name longer. */
function asideOf(path: string): string {
  const name = Buffer.from(basename(path))
    .subarray(0, 200)
    .toString()
    .replace(/\ufffd+$/, "");
  return join(dirname(path), `${name}.${randomBytes(4).toString("hex")}${ASIDE}`);
}

function putInPlace(written: string, path: string): void {
  try {
    renameSync(written, path);
  } catch (error) {
    // A file that is mounted by itself, as containers do, can be written but not replaced.
    if (isSystemError(error) && error.code === "EBUSY") copyFileSync(written, path);
    else throw error;
  } finally {
    rmSync(written, { force: true });
  }
  flushFolder(dirname(path));
}

/** Makes a new name last through a loss of power. Some file systems refuse to flush a folder: then it is as safe as they are. */
function flushFolder(path: string): void {
  try {
    const folder = openSync(path, "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch {}
}

function attempt<T>(path: string, action: () => T, target?: string): T {
  try {
    return action();
  } catch (error) {
    throw explainWriting(error, path, target);
  }
}

/**
 * Puts an error of the file system into words, as a {@link WriteError}; any other error is returned as it is.
 *
 * @param target where `path` leads to, when it is a link
 */
export function explainWriting(error: unknown, path: string, target = linkedFrom(path)): unknown {
  if (!isSystemError(error)) return error;
  return new WriteError(`Could not write ${path}: ${reasonOf(error, target, "write")}.`, { cause: error });
}

/** What a link points to, whether or not it is there; anything else is itself. */
function linkedFrom(path: string): string {
  try {
    return resolve(realpathSync(dirname(path)), readlinkSync(path));
  } catch {
    return path;
  }
}

export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && ("syscall" in error || "errno" in error);
}

function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code, syscall: "open" });
}

/** What the operating system refused, in words, and what to do about it. */
export function reasonOf(error: NodeJS.ErrnoException, path: string, verb: "read" | "write"): string {
  const folder = dirname(path);
  switch (error.code) {
    case "ENOSPC":
      return `the disk is full. Make room on the disk of ${folder}, or write elsewhere (ENOSPC)`;
    case "EDQUOT":
      return `the disk quota is used up. Make room in ${folder}, or write elsewhere (EDQUOT)`;
    case "EFBIG":
      return "the file would be larger than is allowed here. Raise the limit, or write elsewhere (EFBIG)";
    case "EROFS":
      return `${folder} is on a read-only disk. Write elsewhere (EROFS)`;
    case "EACCES":
    case "EPERM":
      return `the permissions do not allow it. Change those of the file or of its folder, or ${verb} elsewhere (${error.code})`;
    case "ENOENT":
      return verb === "read"
        ? "there is no such file (ENOENT)"
        : `there is no folder ${folder}. Make it first (ENOENT)`;
    case "ENOTDIR":
    case "EEXIST":
      return `a part of the path is a file. Move that file, or ${verb} elsewhere (${error.code})`;
    case "EISDIR":
      return "it is a folder. Name a file (EISDIR)";
    case "ELOOP":
      return "its links lead in a circle. Remove them (ELOOP)";
    case "ENAMETOOLONG":
      return "its name is too long. Choose a shorter one (ENAMETOOLONG)";
    case "EPIPE":
      return "nobody reads from this pipe any more (EPIPE)";
    case "ENXIO":
      return "nothing can be written to a socket or a missing device (ENXIO)";
    default:
      return error.message;
  }
}
