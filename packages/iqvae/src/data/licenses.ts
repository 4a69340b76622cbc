import { existsSync, readFileSync, realpathSync } from "node:fs";
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

/** Brings the packages that drawings come in. Whoever only draws with models does without its 230 MB. */
const DATA_PACKAGE = "@iqvae/data";

/** A package that a data set is made of is not installed. */
export class DataNotInstalled extends Error {
  override readonly name = "DataNotInstalled";
}

/**
 * The folder of an installed npm package, whatever its `exports` and its `main` say: one that this package depends on, or that
 * {@link DATA_PACKAGE} does.
 *
 * @throws DataNotInstalled with what to type
 */
export function packageFolder(name: string): string {
  const data = folderFrom(require, DATA_PACKAGE);
  // Some package managers put what a package depends on where only that package finds it.
  const fromData = data && folderFrom(createRequire(join(realpathSync(data), "package.json")), name);
  const folder = fromData ?? folderFrom(require, name);
  if (folder === undefined)
    throw new DataNotInstalled(
      `The data set is made of ${name}, which is not installed. Install what the data sets are made of: npm install ${DATA_PACKAGE}`,
    );
  return folder;
}

function folderFrom({ resolve }: NodeJS.Require, name: string): string | undefined {
  const places = resolve.paths(name) ?? [];
  return places.map((place) => join(place, name)).find((place) => existsSync(join(place, "package.json")));
}
