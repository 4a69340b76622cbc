import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

/** Whose drawings a data set is made of, and on what terms. */
export interface License {
  readonly package: string;
  readonly version: string;
  /** Who made the drawings. */
  readonly author: string;
  /** SPDX identifier, or a few words where that does not say it all. */
  readonly license: string;
  readonly url: string;
}

const require = createRequire(import.meta.url);

/** The installed version of an npm package. Needed since a newer package may draw other pictures. */
export function installedVersion(name: string): string {
  return (JSON.parse(readFileSync(join(packageFolder(name), "package.json"), "utf8")) as { version: string }).version;
}

/** The folder of an installed npm package, whatever its `exports` and its `main` say. */
export function packageFolder(name: string): string {
  const places = require.resolve.paths(name) ?? [];
  const folder = places.map((place) => join(place, name)).find((place) => existsSync(join(place, "package.json")));
  if (folder === undefined) {
    throw new Error(`packageFolder("${name}"): there is no such package below ${places.join(", ")}; run npm install.`);
  }
  return folder;
}
