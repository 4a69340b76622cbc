import { readFileSync } from "node:fs";
import { dirname, isAbsolute, join, relative } from "node:path";
import { repeatedName } from "@iqvae/torch";
import { ConfigError } from "./error.ts";
import { BRING_YOUR_OWN } from "./paper.ts";

/**
 * The content of a configuration file. A byte-order mark is passed over; a key that an object has twice is refused, since one of its
 * values would be lost without a word. Relative paths in it are relative to it, and come out relative to the working folder.
 *
 * @throws ConfigError when it cannot be read or is not valid JSON
 */
export function readConfigFile(path: string): unknown {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new ConfigError(whyUnread(path, error as NodeJS.ErrnoException));
  }
  let text: string;
  try {
    // Editors of Windows write either; a decoder takes the mark away.
    text = new TextDecoder(bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : "utf-8", { fatal: true }).decode(
      bytes,
    );
  } catch {
    throw new ConfigError(`${path} is not a text in UTF-8. Save it as one.`);
  }
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`${path} is not valid JSON: ${(error as Error).message}`);
  }
  const repeated = repeatedName(text);
  if (repeated !== undefined)
    throw new ConfigError(`${path} has the key '${repeated}' twice in one object. Delete one of them.`);
  return withPaths(document, (inner) => join(dirname(path), inner));
}

function whyUnread(path: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === "EISDIR") return `${path} is a folder; name the JSON file of a configuration.`;
  return `${path} cannot be read: ${code === "EACCES" ? "you may not; change its permissions." : message}`;
}

/** A configuration as it is to be stored in `folder`: relative paths are relative to that. */
export function storedIn<T>(folder: string, config: T): T {
  return withPaths(config, (path) => relative(folder, path)) as T;
}

/** The value with `change` applied to all relative paths in it: texts under the key `path`. */
function withPaths(value: unknown, change: (path: string) => string, key?: string): unknown {
  if (typeof value === "string")
    return key === "path" && value !== BRING_YOUR_OWN && value !== "" && !isAbsolute(value) ? change(value) : value;
  if (Array.isArray(value)) return value.map((inner) => withPaths(inner, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withPaths(inner, change, name)]));
}
