import { ModelError } from "./errors.ts";
import { hex, sha256 } from "./sampling/sha256.ts";

/** Where an exported folder is: a URL, a path (in Node.js), or its files as an input (a `FileList`) or a drop gives them. */
export type ModelSource = string | URL | ArrayLike<File>;

/** Bytes that came, of how many. */
export type OnBytes = (loaded: number) => void;

/** The files of an exported folder. */
export interface Folder {
  /**
   * @param expected hash and length of the file, where they are known: what was fetched before is then taken from the cache
   * @throws ModelError when there is no such file; what `signal` says when it is aborted
   */
  read(name: string, onBytes: OnBytes, signal?: AbortSignal, expected?: Expected): Promise<Uint8Array>;
}

export interface Expected {
  readonly bytes: number;
  readonly sha256: string;
}

// Not the free name, for which bundlers for browsers bring a `process` of their own.
const node = (globalThis as Partial<typeof globalThis>).process;
const inNode = typeof node?.versions?.node === "string";

/** @throws TypeError for what is none */
export function folderOf(source: ModelSource): Folder {
  if (typeof source === "object" && source !== null && "length" in source) return picked(Array.from(source));
  if (typeof source !== "string" && !isUrl(source))
    throw new TypeError(`a model is loaded from an address, a path, or a list of files, but ${source} came`);
  const text = String(source);
  if (/^(https?|blob|data):/.test(text)) return fetched(new URL(text));
  if (inNode) return stored(source);
  return fetched(new URL(text, baseAddress()));
}

/** Not by its class: where tests have a page's globals, as of jsdom, those of Node.js are of another. */
export function isUrl(source: unknown): source is URL {
  return source instanceof URL || Object.prototype.toString.call(source) === "[object URL]";
}

/** What addresses are relative to, as those of `fetch` are; nothing in Node.js, where they are paths. */
export function baseAddress(): string | undefined {
  if (inNode) return undefined;
  return typeof document === "undefined" ? globalThis.location?.href : document.baseURI;
}

/** Files of a list, by their names without folders. */
function picked(files: readonly File[]): Folder {
  return {
    async read(name, onBytes, signal) {
      signal?.throwIfAborted();
      const file = files.find((each) => each.name === name);
      if (file === undefined)
        throw new ModelError(
          name,
          "missing",
          `it is not among the ${files.length} files (${files.map((each) => each.name).join(", ")}); choose the whole folder`,
        );
      const bytes = new Uint8Array(await file.arrayBuffer());
      onBytes(bytes.length);
      return bytes;
    },
  };
}

function stored(folder: string | URL): Folder {
  return {
    async read(name, onBytes, signal) {
      // Not by `import`, which bundlers for browsers follow: webpack and esbuild fail on these names, Vite warns of them.
      const { readFile } = node!.getBuiltinModule("node:fs/promises");
      const { join } = node!.getBuiltinModule("node:path");
      const { fileURLToPath } = node!.getBuiltinModule("node:url");
      const text = String(folder);
      const path = join(isUrl(folder) || text.startsWith("file:") ? fileURLToPath(text) : text, name);
      signal?.throwIfAborted();
      try {
        const bytes = new Uint8Array(await readFile(path, { signal }));
        onBytes(bytes.length);
        return bytes;
      } catch (cause) {
        signal?.throwIfAborted();
        const reason = `it cannot be read (${(cause as Error).message}); name a folder that iqvae export wrote`;
        throw new ModelError(path, "missing", reason, { cause });
      }
    },
  };
}

function fetched(base: URL): Folder {
  const folder = base.pathname.endsWith("/") ? base : Object.assign(new URL(base), { pathname: `${base.pathname}/` });
  return {
    async read(name, onBytes, signal, expected) {
      // What an address was signed with is for all files below it.
      const url = Object.assign(new URL(name, folder), { search: folder.search });
      const get = async (cache: RequestCache) => await readAll(await ask(url, cache, signal), url, onBytes, signal);
      // What names the versions of the others must not be an old one.
      if (expected === undefined) return refusePage(url, await get("no-cache"));
      const kept = await fromCache(url, expected);
      if (kept instanceof Uint8Array) {
        onBytes(kept.length);
        return kept;
      }
      const first = kept === "damaged" ? "reload" : "default";
      let bytes = await get(first);
      // The browser's cache of all that it fetches may have given an older version, or what was damaged on the way.
      if (first === "default" && !(await isWhole(bytes, expected))) bytes = await get("reload");
      if (!(await isWhole(bytes, expected))) return refusePage(url, bytes);
      await intoCache(url, expected, bytes);
      return bytes;
    },
  };
}

const missing = (url: URL, reason: string, options?: ErrorOptions) =>
  new ModelError(url.href, "missing", reason, options);

async function ask(
  url: URL,
  cache: RequestCache,
  signal: AbortSignal | undefined,
): Promise<ReadableStream<Uint8Array>> {
  const response = await fetch(url, { signal: signal ?? null, cache }).catch((cause: Error) => {
    signal?.throwIfAborted();
    throw missing(url, `it cannot be fetched (${cause.message})${remedyFor(url)}`, { cause });
  });
  if (!response.ok || response.body === null)
    throw missing(url, `the server answered ${response.status} ${response.statusText}`.trim());
  if (url.pathname.endsWith(".json") && response.headers.get("content-type")?.startsWith("text/html"))
    throw isPage(url);
  return response.body;
}

/** Browsers do not tell a page what kept it from fetching. */
function remedyFor({ protocol, origin }: URL): string {
  if (protocol === "file:") return "; serve the folder over HTTP, or load its files";
  const here = globalThis.location?.origin;
  if (here === undefined || here === origin) return "";
  return `; if its server can be reached, it has to allow ${here} by an Access-Control-Allow-Origin header`;
}

const isPage = (url: URL) =>
  missing(url, "the server answered with a web page, as many do for what they do not have; look at the address");

/** Looks at the bytes, too: not all servers say of a page that it is one, and some say it of all that they do not know. */
function refusePage(url: URL, bytes: Uint8Array): Uint8Array {
  if (new TextDecoder().decode(bytes.subarray(0, 99)).trimStart().startsWith("<")) throw isPage(url);
  return bytes;
}

async function readAll(
  body: ReadableStream<Uint8Array>,
  url: URL,
  onBytes: OnBytes,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      length += value.length;
      onBytes(length);
    }
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ModelError(url.href, "damaged", `the connection broke after ${length} bytes; try again`, { cause });
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const CACHE = "iqvae-models";

/** What a cache cannot do, on a full disk or in a frame that may not use it, must not keep anybody from drawing. */
async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch {
    return undefined;
  }
}

/** The cache of the browser, in secure contexts; where there is none, everything is fetched. */
function openCache(): Promise<Cache | undefined> {
  return attempt(async () => (typeof caches === "undefined" ? undefined : await caches.open(CACHE)));
}

/** Under the hash, so that another version of a file is another entry. */
const keyOf = (url: URL, { sha256: hash }: Expected) => `${url.origin}${url.pathname}?sha256=${hash}`;

/** What is kept of a file. If that is damaged, it is deleted: it would be found again at each visit. */
async function fromCache(url: URL, expected: Expected): Promise<Uint8Array | "damaged" | undefined> {
  const cache = await openCache();
  const key = keyOf(url, expected);
  const found = await attempt(async () => await cache?.match(key));
  if (found === undefined) return undefined;
  const bytes = await attempt(async () => new Uint8Array(await found.arrayBuffer()));
  if (bytes !== undefined && (await isWhole(bytes, expected))) return bytes;
  await attempt(async () => await cache?.delete(key));
  return "damaged";
}

async function intoCache(url: URL, expected: Expected, bytes: Uint8Array): Promise<void> {
  const cache = await openCache();
  if (cache === undefined) return;
  const key = keyOf(url, expected);
  await attempt(() => cache.put(key, new Response(bytes as Uint8Array<ArrayBuffer>)));
  await attempt(() => deleteOthers(cache, key));
}

/** Deletes other versions of a file, which nothing names any more: each release would leave one behind. */
async function deleteOthers(cache: Cache, key: string): Promise<void> {
  const [address] = key.split("?");
  for (const { url } of await cache.keys()) if (url !== key && url.split("?")[0] === address) await cache.delete(url);
}

/** @throws ModelError when the bytes are not those that were exported */
export async function checkIntegrity(name: string, bytes: Uint8Array, expected: Expected): Promise<void> {
  if (await isWhole(bytes, expected)) return;
  const [what, wanted] =
    bytes.length === expected.bytes
      ? [`its SHA-256 is ${await hashOf(bytes)}`, expected.sha256]
      : [`it has ${bytes.length} bytes`, expected.bytes];
  throw new ModelError(
    name,
    "damaged",
    `${what}, but model.json says ${wanted}; it was damaged on the way, or is of another export: fetch the folder again`,
  );
}

async function isWhole(bytes: Uint8Array, expected: Expected): Promise<boolean> {
  return bytes.length === expected.bytes && (await hashOf(bytes)) === expected.sha256;
}

/** What was hashed already: a file is looked at when it comes, before it is kept, and before it is used. */
const hashes = new WeakMap<Uint8Array, Promise<string>>();

function hashOf(bytes: Uint8Array): Promise<string> {
  const hash = hashes.get(bytes) ?? computeHash(bytes);
  hashes.set(bytes, hash);
  return hash;
}

/** By the platform in a secure context, else by our own. */
async function computeHash(bytes: Uint8Array): Promise<string> {
  const { subtle } = globalThis.crypto ?? {};
  if (subtle === undefined) return hex(sha256(bytes));
  return hex(new Uint8Array(await subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)));
}
