import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { PackageError, packageAtHand } from "../../../support/packages.ts";
import type { License } from "../../licenses.ts";
import { type DataPackage, packageLicense, packageSource } from "../../packages.ts";

/** Names a folder that the package was unpacked into, in any edition, where it is not to be fetched. */
export const HERO_VARIABLE = "IQVAE_FLARE_GAME";

const DRAWINGS = "usr/share/games/flare/mods/fantasycore";
const DOCUMENTS = "usr/share/doc/flare-game";

/** The drawings of the game Flare. A fifth of the package is used, and whose it is. */
export const FLARE_GAME: DataPackage = {
  kind: "deb",
  name: "flare-game",
  version: "1.14-1",
  sha256: "4ab6a8298276013d35a0806257e130d992761af1b749041433b409c3dafec508",
  files: [...["images/avatar", "animations/avatar", "engine"].map((folder) => `${DRAWINGS}/${folder}`), DOCUMENTS],
  megabytes: 123,
  terms: {
    author: "Clint Bellanger and the contributors of Flare",
    license: "CC-BY-SA-3.0+",
    url: "https://github.com/flareteam/flare-game",
  },
};

/** The unpacked package. */
export interface FlareGame {
  /** The folder that it was unpacked into. */
  readonly root: string;
  /** The folder with `images`, `animations` and `engine`. */
  readonly folder: string;
  /** Debian's version, such as `1.14-1`. */
  readonly version: string;
  /** Whether it lies in the cache, and can be fetched again. */
  readonly isFetched: boolean;
}

/** The package where it is at hand: in the folder that `IQVAE_FLARE_GAME` names, else in the cache. */
export function flareGameAtHand(cache: string): FlareGame | undefined {
  const named = process.env[HERO_VARIABLE];
  const root = named ?? packageAtHand(FLARE_GAME, cache);
  if (root === undefined || !existsSync(join(root, DRAWINGS))) return undefined;
  return named === undefined ? fetched(root) : unpacked(root, versionIn(root), false);
}

/**
 * The package, fetched and unpacked into the cache if it is not at hand and was asked for.
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
      `${HERO_VARIABLE} must name a folder that the Debian package flare-game was unpacked into, but ` +
        `${join(named, DRAWINGS)} is not there. Unpack it with: dpkg -x flare-game_*_all.deb ${named}`,
    );
  }
  try {
    return fetched(await packageSource("heroes", cache, asked, onMessage)(FLARE_GAME));
  } catch (error) {
    if (!(error instanceof PackageError)) throw error;
    // Other releases of Debian and Ubuntu may have another edition.
    const way = `Any other edition of flare-game will do, too: unpack it, and name the folder in ${HERO_VARIABLE}.`;
    // A line of its own: the one before may end in a command.
    throw new PackageError(`${error.message}\n${way}`, { cause: error });
  }
}

function fetched(root: string): FlareGame {
  return unpacked(root, FLARE_GAME.version, true);
}

function unpacked(root: string, version: string, isFetched: boolean): FlareGame {
  return { root, folder: join(root, DRAWINGS), version, isFetched };
}

export function heroLicense({ version }: Pick<FlareGame, "version">): License {
  return { ...packageLicense(FLARE_GAME), version };
}

/** Of a folder of the user's, whose documents may be missing or damaged: drawings alone make the data set. */
function versionIn(root: string): string {
  try {
    const changes = gunzipSync(readFileSync(join(root, DOCUMENTS, "changelog.Debian.gz"))).toString("utf8");
    return /^\S+ \(([^)]+)\)/.exec(changes)![1]!;
  } catch {
    return "of unknown version";
  }
}
