import { readFile } from "node:fs/promises";
import { FileProblem } from "@iqvae/runtime";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EISDIR: "it is a folder",
  EACCES: "it may not be read",
  EPERM: "it may not be read",
  ELOOP: "it is a link that leads back to itself",
  EMFILE: "this process may not open more files (ulimit -n)",
  ENFILE: "all programs together may not open more files",
};

/** Why the file system refused something, in words. */
export function reasonOf(error: unknown): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return REASONS[code] ?? message;
}

/** @throws FileProblem that says why a file cannot be read */
export async function readWhole(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new FileProblem("unreadable file", `${path} cannot be read: ${reasonOf(error)}.`, { cause: error });
  }
}

/** @throws FileProblem when a file cannot be read or is not UTF-8 */
export async function readText(path: string): Promise<string> {
  return decodeText(await readWhole(path), path);
}

/** Text from UTF-8 bytes, without a byte-order mark. @throws FileProblem for other bytes */
export function decodeText(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new FileProblem("corrupt file", `${path} is not UTF-8 text. Save it as UTF-8.`, { cause: error });
  }
}

/** @throws FileProblem when a file cannot be read or is not JSON */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = (error as Error).message;
    throw new FileProblem("corrupt file", `${path} is not valid JSON: ${reason}.`, { cause: error });
  }
}
