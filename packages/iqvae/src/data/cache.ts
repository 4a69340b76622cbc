import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { FileReplacement, WriteError } from "@iqvae/torch";
import { makeFolder, removeAbandoned } from "../support/files.ts";
import type { ImportReport } from "./import/problems.ts";

/** A pair that is to be drawn. */
export interface PairEntry {
  readonly id: string;
  readonly validation: boolean;
}

/** What decides the length of a record. */
export interface CacheShape {
  /** Side of the images in pixels. */
  readonly size: number;
  /** Bytes of a condition; without it, a condition is a raster of the image's size. */
  readonly conditionLength?: number;
}

/** What a cache file says about itself. */
export interface CacheIndex extends CacheShape {
  /** Everything that decides the pixels; a file with another key is foreign. */
  readonly key: string;
  readonly entries: readonly PairEntry[];
  /** Of an import. */
  readonly report?: ImportReport;
}

/** An open cache file: records of an image `[H, W, 3]` followed by its condition, by number. */
export interface PairCache {
  readonly index: CacheIndex;
  /**
   * Reads record `index` into `record`, which is as long as {@link recordLength} says, and checks it.
   *
   * @throws Error for a record that is damaged; the file is removed then, so that it is drawn anew the next time. Error after
   *   {@link close}
   */
  read(index: number, record: Uint8Array): void;
  /** Closes the file. Once it is closed, that does nothing. */
  close(): void;
}

/** Bytes of a pair in a cache file, without its checksum. */
export function recordLength({ size, conditionLength = size ** 2 }: CacheShape): number {
  return size ** 2 * 3 + conditionLength;
}

/**
 * The file begins with this. Records follow, each with its CRC-32; then the index, as JSON; then the index's length as 32 bits,
 * and the SHA-256 of the index and its length. So an index is written when all is known, and opening a file costs no more than
 * reading its index: records are checked when they are read.
 */
const MAGIC = "iqvae pairs 2\n";
const CRC = 4;
const LENGTH = 4;
const CHECKSUM = 32;
const TAIL = LENGTH + CHECKSUM;

/** A cache file that cannot be used, with the reason in `message`. */
export class CacheRejected extends Error {}

/**
 * Opens a cache file and checks all of it but the records: magic, key, exact length, SHA-256 of the index.
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
    const index = readIndex(file, key);
    const stored = Buffer.alloc(recordLength(index) + CRC);
    // The system gives the number of a closed file to the next one that is opened, which is then another data set's.
    let closed = false;
    return {
      index,
      read(number, record) {
        if (closed) throw new Error(`The data set of ${path} was closed: open it again to read its pairs.`);
        const whole = readFully(file, stored, MAGIC.length + number * stored.length);
        if (!whole || crc32(stored.subarray(0, -CRC)) !== stored.readUInt32LE(record.length)) {
          rmSync(path, { force: true });
          throw new Error(
            `The cache file ${path} is damaged: pair ${number} (${index.entries[number]?.id}) does not match its checksum. The ` +
              "file has been removed; start again, and its pairs are drawn anew.",
          );
        }
        record.set(stored.subarray(0, record.length));
      },
      close() {
        if (closed) return;
        closed = true;
        closeSync(file);
      },
    };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function readIndex(file: number, key: string): CacheIndex {
  const { size } = fstatSync(file);
  if (size < MAGIC.length + TAIL) throw new CacheRejected(`it is only ${size} bytes long`);
  const magic = Buffer.alloc(MAGIC.length);
  readFully(file, magic, 0);
  if (magic.toString("latin1") !== MAGIC) throw new CacheRejected("it is not a cache file of this version");
  const tail = Buffer.alloc(TAIL);
  readFully(file, tail, size - TAIL);
  const length = tail.readUInt32LE(0);
  const end = size - TAIL - length;
  if (end < MAGIC.length) throw new CacheRejected("it is cut off, or its end is damaged");
  const text = Buffer.alloc(length);
  readFully(file, text, end);
  if (!checksumOf(text, tail.subarray(0, LENGTH)).equals(tail.subarray(LENGTH))) {
    throw new CacheRejected("it is cut off, or the checksum of its index does not match");
  }
  const index = JSON.parse(text.toString("utf8")) as CacheIndex;
  if (index.key !== key) throw new CacheRejected("it was drawn from another recipe");
  const expected = MAGIC.length + index.entries.length * (recordLength(index) + CRC);
  if (end !== expected) throw new CacheRejected(`its records take ${end} bytes instead of ${expected}`);
  return index;
}

function checksumOf(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** @returns whether there were enough bytes */
function readFully(file: number, bytes: Uint8Array, position: number): boolean {
  for (let done = 0; done < bytes.length; ) {
    const read = readSync(file, bytes, done, bytes.length - done, position + done);
    if (read === 0) return false;
    done += read;
  }
  return true;
}

/**
 * Writes a cache file so that a file of this name is always whole. If anything fails, nothing is left behind.
 *
 * @param expected how many records may come, for a message
 * @param records image `[H, W, 3]`, then condition, of each pair
 * @param indexOf called when all records have come
 * @throws WriteError that says what could not be written and what to do
 */
export async function writeCache(
  path: string,
  shape: CacheShape,
  expected: number,
  records: AsyncIterable<Uint8Array>,
  indexOf: () => CacheIndex,
): Promise<void> {
  try {
    makeFolder(dirname(path));
    await removeAbandoned(path);
    const file = new FileReplacement(path);
    try {
      file.write(MAGIC);
      const stored = Buffer.alloc(recordLength(shape) + CRC);
      for await (const record of records) {
        stored.set(record);
        stored.writeUInt32LE(crc32(record), record.length);
        file.write(stored);
      }
      const index = Buffer.from(JSON.stringify(indexOf()));
      const length = Buffer.alloc(LENGTH);
      length.writeUInt32LE(index.length);
      file.write(Buffer.concat([index, length, checksumOf(index, length)]));
      file.commit();
    } finally {
      file.discard();
    }
  } catch (error) {
    throw explain(error, expected * recordLength(shape));
  }
}

function explain(error: unknown, bytes: number): unknown {
  if (!(error instanceof WriteError)) return error;
  return new WriteError(
    `${error.message} It is a cache file of ${Math.ceil(bytes / 1e6)} MB, and nothing of it was left behind. ` +
      `IQVAE_CACHE or cacheDir names another folder for it.`,
    { cause: error },
  );
}
