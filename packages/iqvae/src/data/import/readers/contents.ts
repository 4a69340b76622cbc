import { createHash } from "node:crypto";
import { accessSync, type BigIntStats, constants, createReadStream, readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { replaceFile } from "@iqvae/torch";
import { makeFolder } from "../../../support/files.ts";
import type { FileTree } from "./file-tree.ts";

/** Time stamps go on in steps, and clocks differ: a file this young may change again without its stamp showing it. */
const SETTLED_MS = 2000;

/**
 * A digest of what files hold, and of what they are called. It decides whether an import is still that of its folder, so it is
 * taken of the very bytes: a time stamp of the last change can be set by anybody. To read all of them takes long, so the digest is
 * kept for the next time, under what the system alone changes: the time when a file's content or name, owner or permissions last
 * changed (`ctime`), and its number (`inode`). Whether a file can be read is known of this moment and this user alone, so nothing is
 * kept where one cannot, and nothing taken from whoever may read more.
 *
 * @param kept a folder where digests are kept
 * @param onProgress told of files that have been read, when that takes a while
 */
export async function contentsOf(
  tree: FileTree,
  files: readonly string[],
  kept: string,
  onProgress: (done: number, total: number) => void,
): Promise<string> {
  const { stamps, newest } = stampsOf(tree, files);
  const memory = join(kept, `files-${stamps.slice(0, 24)}.sha256`);
  const known = readKnown(memory);
  if (known !== undefined) return known;
  const { digest, whole } = await hashAll(tree, files, onProgress);
  if (whole && Date.now() - newest > SETTLED_MS) keep(memory, digest);
  return digest;
}

/** Where nothing may be written, files are read again the next time. */
function keep(path: string, digest: string): void {
  try {
    makeFolder(dirname(path));
    replaceFile(path, digest);
  } catch {}
}

function readKnown(path: string): string | undefined {
  try {
    const digest = readFileSync(path, "utf8");
    return /^[0-9a-f]{64}$/.test(digest) ? digest : undefined;
  } catch {
    return undefined;
  }
}

function stampsOf(tree: FileTree, files: readonly string[]): { stamps: string; newest: number } {
  const hash = createHash("sha256");
  let newest = 0n;
  for (const file of files) {
    const found = stampOf(tree.at(file));
    hash.update(`${file}\0${found?.size}\0${found?.mtimeNs}\0${found?.ctimeNs}\0${found?.ino}\n`);
    if (found !== undefined && found.ctimeNs > newest) newest = found.ctimeNs;
  }
  hash.update(JSON.stringify(tree.leftOut));
  return { stamps: hash.digest("hex"), newest: Number(newest / 1_000_000n) };
}

/** The import itself names what cannot be looked at or read. */
function stampOf(path: string): BigIntStats | undefined {
  try {
    accessSync(path, constants.R_OK);
    return statSync(path, { bigint: true });
  } catch {
    return undefined;
  }
}

async function hashAll(
  tree: FileTree,
  files: readonly string[],
  onProgress: (done: number, total: number) => void,
): Promise<{ digest: string; whole: boolean }> {
  const digests: (string | undefined)[] = new Array(files.length);
  const begun = performance.now();
  let [next, done] = [0, 0];
  const work = async () => {
    while (next < files.length) {
      const index = next++;
      digests[index] = await hashFile(tree.at(files[index]!));
      done++;
      if (performance.now() - begun > 500) onProgress(done, files.length);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  const hash = createHash("sha256");
  files.forEach((file, i) => {
    hash.update(`${file}\0${digests[i] ?? "unreadable"}\n`);
  });
  const digest = hash.update(JSON.stringify(tree.leftOut)).digest("hex");
  return { digest, whole: !digests.includes(undefined) };
}

/** The import itself names what cannot be read. */
async function hashFile(path: string): Promise<string | undefined> {
  const hash = createHash("sha256");
  try {
    for await (const block of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(block as Buffer);
  } catch {
    return undefined;
  }
  return hash.digest("hex");
}
