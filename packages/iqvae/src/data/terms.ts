import { cacheFolder } from "./cache-folder.ts";
import type { DataConfig } from "./config.ts";
import { isImport } from "./import/requests.ts";
import type { License } from "./licenses.ts";
import { npmRecipe, type OpenFromNpm } from "./open.ts";
import { packageLicense } from "./packages.ts";
import { dataPackages, isPhotographs, packagesOf } from "./photographs.ts";
import { flareGameAtHand, heroLicense } from "./sets/heroes/flare-game.ts";

/** Whose drawings and photographs the built-in data sets are made of; those that are fetched only where they have been. */
export function dataLicenses(): readonly License[] {
  const requests: OpenFromNpm[] = [
    { name: "faces", condition: "semantic", size: 32 },
    { name: "emoji", condition: "edges", size: 32 },
    { name: "hands", condition: "keypoints", size: 32 },
    { name: "speech", condition: "audio", size: 32 },
  ];
  const licenses = [
    ...requests.flatMap((request) => npmRecipe(request).licenses),
    ...heroLicenses(),
    ...dataPackages(cacheFolder()).flatMap((each) => (each.folder === undefined ? [] : [packageLicense(each.package)])),
  ];
  return [...new Map(licenses.map((license) => [license.package, license])).values()];
}

/**
 * Whose drawings and photographs one data set is made of, without opening it. Of a folder of the user's nothing is known, nor of
 * heroes where they were never fetched.
 */
export function licensesOf(data: DataConfig): readonly License[] {
  if (isImport(data)) return [];
  if (isPhotographs(data.name)) return packagesOf(data.name).map(packageLicense);
  return data.name === "heroes" ? heroLicenses() : npmRecipe(data as OpenFromNpm).licenses;
}

function heroLicenses(): License[] {
  const game = flareGameAtHand(cacheFolder());
  return game === undefined ? [] : [heroLicense(game)];
}
