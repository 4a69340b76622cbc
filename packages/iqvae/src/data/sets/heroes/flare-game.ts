import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { makeFolder, removeAbandoned } from "../../../support/files.ts";
import type { License } from "../../licenses.ts";

export const HERO_PACKAGE = "flare-game";
/** Names a folder that the package was unpacked into, where it is not to be fetched. */
export const HERO_VARIABLE = "IQVAE_FLARE_GAME";

const DRAWINGS = "usr/share/games/flare/mods/fantasycore";
const DOCUMENTS = `usr/share/doc/${HERO_PACKAGE}`;
/** What is used of the package, a fifth of it: the drawings, and whose they are. */
const USED = [...["images/avatar", "animations/avatar", "engine"].map((folder) => `${DRAWINGS}/${folder}`), DOCUMENTS];

/** The unpacked Debian package `flare-game`. */
export interface FlareGame {
  /** The folder with `images`, `animations` and `engine`. */
  readonly folder: string;
  /** Debian's version, such as `1.14-1`. */
  readonly version: string;
}

/** The package where it is at hand: in the folder that `IQVAE_FLARE_GAME` names, else in the cache. */
export function flareGameAtHand(cache: string): FlareGame | undefined {
  const root = process.env[HERO_VARIABLE] ?? join(cache, HERO_PACKAGE);
  const folder = join(root, DRAWINGS);
  return existsSync(folder) ? { folder, version: versionIn(root) } : undefined;
}

/**
 * The package, fetched and unpacked into the cache if it is not at hand and was asked for. Nothing is installed, and root is not
 * needed where apt's lists are there.
 *
 * @param asked whether it may be fetched: apt-get does not run unasked
 * @param onMessage is told that it is fetched: 123 MB
 * @throws Error that says what to do, when it cannot be had
 */
export async function flareGame(
  cache: string,
  asked: boolean,
  onMessage: (message: string) => void,
): Promise<FlareGame> {
  const known = flareGameAtHand(cache);
  if (known !== undefined) return known;
  const named = process.env[HERO_VARIABLE];
  if (named !== undefined) {
    throw new Error(
      `${HERO_VARIABLE} must name a folder that the Debian package ${HERO_PACKAGE} was unpacked into, but ` +
        `${join(named, DRAWINGS)} is not there. Unpack it with: dpkg -x ${HERO_PACKAGE}_*_all.deb ${named}`,
    );
  }
  if (!asked) {
    throw new Error(
      `The data set heroes needs the Debian package ${HERO_PACKAGE} (123 MB), which is fetched only when you ask for it: ` +
        `npx iqvae data heroes --fetch. That runs: apt-get download ${HERO_PACKAGE}. Or unpack it yourself and name that folder in ` +
        `${HERO_VARIABLE}.`,
    );
  }
  onMessage(`The data set heroes is drawn from the Debian package ${HERO_PACKAGE}, which is fetched now (123 MB).`);
  const target = join(cache, HERO_PACKAGE);
  const aside = `${target}.${randomUUID()}.part`;
  try {
    makeFolder(aside);
    await removeAbandoned(target);
    await download(aside);
    await unpack(aside);
    moveInto(target, join(aside, "kept"));
  } catch (error) {
    throw new Error(
      `The data set heroes needs the Debian package ${HERO_PACKAGE}, which could not be fetched: ${reasonOf(error)}. ` +
        `On Debian or Ubuntu, run "apt-get update" as root and try again. Elsewhere, unpack the file ` +
        `${HERO_PACKAGE}_*_all.deb of Debian's archive ("ar x", then "tar xf data.tar.*") and name that folder in ` +
        `${HERO_VARIABLE}. All other data sets work without it.`,
      { cause: error },
    );
  } finally {
    // What cannot be removed must not hide why the fetch failed.
    await rm(aside, { recursive: true, force: true }).catch(() => {});
  }
  return flareGameAtHand(cache)!;
}

export function heroLicense({ version }: FlareGame): License {
  return {
    package: HERO_PACKAGE,
    version,
    author: "Clint Bellanger and the contributors of Flare",
    license: "CC-BY-SA-3.0+",
    url: "https://github.com/flareteam/flare-game",
  };
}

const run = promisify(execFile);

/** Where apt knows nothing of the package yet, as in a fresh container, its lists are fetched first. */
async function download(folder: string): Promise<void> {
  const fetch = () => run("apt-get", ["download", HERO_PACKAGE], { cwd: folder });
  try {
    await fetch();
  } catch (error) {
    if (process.getuid?.() !== 0) throw error;
    await run("apt-get", ["update"]);
    await fetch();
  }
}

/** Unpacks the one package of a folder, and keeps what is used of it in `kept`. */
async function unpack(folder: string): Promise<void> {
  const archive = readdirSync(folder).find((name) => name.endsWith(".deb"));
  if (archive === undefined) throw new Error("apt-get download left no .deb file");
  await run("dpkg", ["-x", archive, "all"], { cwd: folder });
  for (const part of USED) {
    const target = join(folder, "kept", part);
    makeFolder(dirname(target));
    renameSync(join(folder, "all", part), target);
  }
}

/** Another process may have been faster: then its folder stays. */
function moveInto(target: string, folder: string): void {
  try {
    renameSync(folder, target);
  } catch (error) {
    if (!existsSync(join(target, DRAWINGS))) throw error;
  }
}

function versionIn(root: string): string {
  const path = join(root, DOCUMENTS, "changelog.Debian.gz");
  const [, version] = existsSync(path)
    ? (/^\S+ \(([^)]+)\)/.exec(gunzipSync(readFileSync(path)).toString("utf8")) ?? [])
    : [];
  return version ?? "of unknown version";
}

/** What a program said last, or why it did not start. */
function reasonOf(error: unknown): string {
  const { stderr, message } = error as Error & { stderr?: string };
  return (stderr?.trim().split("\n").at(-1) || message).replace(/\.$/, "");
}
