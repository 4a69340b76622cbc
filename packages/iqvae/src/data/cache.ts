import { createHash, type Hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { FileReplacement, WriteError } from "@iqvae/torch";
import { makeFolder } from "../support/files.ts";

/** A pair that is to be drawn. */
export interface PairEntry {
  readonly id: string;
  readonly validation: boolean;
}

/** What a cache file says about itself. */
export interface CacheHeader {
  /** Everything that decides the pixels; a file with another key is foreign. */
  readonly key: string;
  /** Side of the images in pixels. */
  readonly size: number;
  /** Bytes of a condition; without it, a condition is a raster of the image's size. */
  readonly conditionLength?: number;
  readonly entries: readonly PairEntry[];
}

/** A checked cache file: records of an image `[H, W, 3]` followed by its condition, by number. */
export interface PairCache {
  readonly header: CacheHeader;
  /** Reads record `index` into `record`, which is as long as {@link recordLength} says. */
  read(index: number, record: Uint8Array): void;
  close(): void;
}

/** Bytes of a pair in a cache file. */
export function recordLength({ size, conditionLength = size ** 2 }: CacheHeader): number {
  return size ** 2 * 3 + conditionLength;
}

const MAGIC = "iqvae pairs 1\n";
const PREFIX = MAGIC.length + 4;
const CHECKSUM = 32;

/** A cache file that cannot be used, with the reason in `message`. */
export class CacheRejected extends Error {}

/**
 * Opens a cache file and checks it whole: magic, key, exact length, SHA-256.
 *
 * @returns `null` if there is no such file
 * @throws CacheRejected for a truncated, foreign or damaged file
 */
export function openCache(path: string, key: string): PairCache | null {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    // ENOTDIR: a part of the path is a file. Writing will say so.
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
  try {
    const { header, start } = checkFile(file, key);
    return {
      header,
      read(index, record) {
        readFully(file, record, start + index * record.length);
      },
      close: () => closeSync(file),
    };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function checkFile(file: number, key: string): { header: CacheHeader; start: number } {
  const length = fstatSync(file).size;
  if (length < PREFIX + CHECKSUM) throw new CacheRejected(`it is only ${length} bytes long`);
  const prefix = readFully(file, Buffer.alloc(PREFIX), 0);
  if (prefix.toString("latin1", 0, MAGIC.length) !== MAGIC)
    throw new CacheRejected("it is no cache file of this version");
  const headerLength = prefix.readUInt32LE(MAGIC.length);
  const start = PREFIX + headerLength;
  if (start + CHECKSUM > length) throw new CacheRejected("it is truncated within its header");

  const checksum = createHash("sha256").update(prefix);
  const headerBytes = readFully(file, Buffer.alloc(headerLength), PREFIX);
  checksum.update(headerBytes);
  const header = parseHeader(headerBytes);
  if (header.key !== key) throw new CacheRejected("it was drawn from another recipe");
  const expected = start + header.entries.length * recordLength(header) + CHECKSUM;
  if (length !== expected) throw new CacheRejected(`it is ${length} bytes long instead of ${expected}`);

  hashRange(file, start, length - CHECKSUM, checksum);
  const stored = readFully(file, Buffer.alloc(CHECKSUM), length - CHECKSUM);
  if (!checksum.digest().equals(stored)) throw new CacheRejected("its checksum does not match");
  return { header, start };
}

function parseHeader(bytes: Buffer): CacheHeader {
  try {
    const header = JSON.parse(bytes.toString("utf8")) as CacheHeader;
    if (typeof header.key === "string" && Array.isArray(header.entries)) return header;
  } catch {
    // Said below.
  }
  throw new CacheRejected("its header is damaged");
}

function hashRange(file: number, from: number, to: number, hash: Hash): void {
  const block = Buffer.alloc(1 << 20);
  for (let at = from; at < to; at += block.length) {
    hash.update(readFully(file, block.subarray(0, Math.min(block.length, to - at)), at));
  }
}

function readFully<T extends Uint8Array>(file: number, bytes: T, position: number): T {
  for (let done = 0; done < bytes.length; ) {
    const read = readSync(file, bytes, done, bytes.length - done, position + done);
    if (read === 0)
      throw new Error(`the cache file ended ${bytes.length - done} bytes early: it was changed while in use.`);
    done += read;
  }
  return bytes;
}

/**
 * Writes a cache file so that a file of this name is always whole. If anything fails, nothing is left behind.
 *
 * @param records for each entry in order its record: image `[H, W, 3]`, then condition; `null` strikes the entry out
 * @throws WriteError that says what could not be written and what to do
 */
export async function writeCache(
  path: string,
  header: CacheHeader,
  records: AsyncIterable<Uint8Array | null>,
): Promise<void> {
  const beginning = beginningOf(header);
  const checksum = createHash("sha256");
  try {
    makeFolder(dirname(path));
    await removeAbandoned(path);
    const file = new FileReplacement(path);
    try {
      const write = (part: Uint8Array) => {
        checksum.update(part);
        file.write(part);
      };
      write(beginning);
      const kept: PairEntry[] = [];
      let index = 0;
      for await (const record of records) {
        const entry = header.entries[index++]!;
        if (record === null) continue;
        write(record);
        kept.push(entry);
      }
      if (kept.length === index) file.write(checksum.digest());
      else writeAnew(file.descriptor, { ...header, entries: kept }, beginning.length);
      file.commit();
    } finally {
      file.discard();
    }
  } catch (error) {
    throw explain(error, header);
  }
}

/** What a cache file begins with; `length` fills it up with spaces after the header, which JSON ignores. */
function beginningOf(header: CacheHeader, length?: number): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  const bytes = Buffer.alloc(length ?? PREFIX + text.length, " ");
  bytes.write(MAGIC, "latin1");
  bytes.writeUInt32LE(bytes.length - PREFIX, MAGIC.length);
  text.copy(bytes, PREFIX);
  return bytes;
}

/**
 * Puts a shorter list of entries in place of the one that a file begins with, and adds the checksum. Which pairs can be used is
 * known only when all are read; so the records, which are the bulk, are written once.
 */
function writeAnew(file: number, header: CacheHeader, length: number): void {
  const { size: end } = fstatSync(file);
  writeSync(file, beginningOf(header, length), 0, length, 0);
  const checksum = createHash("sha256");
  hashRange(file, 0, end, checksum);
  writeSync(file, checksum.digest(), 0, CHECKSUM, end);
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

function explain(error: unknown, header: CacheHeader): unknown {
  if (!(error instanceof WriteError)) return error;
  const megabytes = Math.ceil((header.entries.length * recordLength(header)) / 1e6);
  return new WriteError(
    `${error.message} It is a cache file of ${megabytes} MB, and nothing of it was left behind. ` +
      `IQVAE_CACHE or cacheDir names another folder for it.`,
    { cause: error },
  );
}
