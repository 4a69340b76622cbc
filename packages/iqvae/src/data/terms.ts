import { cacheFolder } from "./cache-folder.ts";
import type { DataConfig } from "./config.ts";
import { isImport } from "./import/requests.ts";
import { DataNotInstalled, type License } from "./licenses.ts";
import { npmRecipe, type OpenFromNpm } from "./open.ts";
import { packageLicense } from "./packages.ts";
import { dataPackages, isPhotographs, packagesOf } from "./photographs.ts";
import { flareGameAtHand, heroLicense } from "./sets/heroes/flare-game.ts";

/** Whose drawings and photographs the built-in data sets are made of, as far as they are installed or have been fetched. */
export function dataLicenses(): readonly License[] {
  const requests: OpenFromNpm[] = [
    { name: "faces", condition: "semantic", size: 32 },
    { name: "emoji", condition: "edges", size: 32 },
    { name: "hands", condition: "keypoints", size: 32 },
    { name: "speech", condition: "audio", size: 32 },
  ];
  const licenses = [
    ...requests.flatMap((request) => installed(() => npmRecipe(request).licenses) ?? []),
    ...dataPackages(cacheFolder()).flatMap((each) => (each.folder === undefined ? [] : [packageLicense(each.package)])),
    // The edition that is at hand, in the place of the one that would be fetched.
    ...heroLicenses(),
  ];
  return [...new Map(licenses.map((license) => [license.package, license])).values()];
}

/**
 * Whose drawings and photographs one data set is made of, without opening it. Of a folder of the user's nothing is known, nor of
 * heroes where they were never fetched, nor where the packages are not installed.
 */
export function licensesOf(data: DataConfig): readonly License[] {
  if (isImport(data)) return [];
  if (isPhotographs(data.name)) return packagesOf(data.name).map(packageLicense);
  return data.name === "heroes" ? heroLicenses() : (installed(() => npmRecipe(data as OpenFromNpm).licenses) ?? []);
}

/** What to type to have all built-in data sets; undefined where all are there. */
export function missingData(): string | undefined {
  const size = 32;
  try {
    npmRecipe({ name: "speech", condition: "audio", size });
    npmRecipe({ name: "hands", condition: "keypoints", size });
    return undefined;
  } catch (error) {
    if (error instanceof DataNotInstalled) return error.message;
    throw error;
  }
}

/** What `read` gives, unless a package for it is not installed. */
function installed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof DataNotInstalled) return undefined;
    throw error;
  }
}

function heroLicenses(): License[] {
  const game = flareGameAtHand(cacheFolder());
  return game === undefined ? [] : [heroLicense(game)];
}
