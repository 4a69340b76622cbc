import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Whose drawings a data set is made of, and on what terms. */
export interface Licence {
  readonly package: string;
  readonly version: string;
  /** Who made the drawings. */
  readonly author: string;
  /** SPDX identifier. */
  readonly licence: string;
  readonly url: string;
}

const require = createRequire(import.meta.url);

/** The installed version of an npm package. Needed since a newer package may draw other pictures. */
export function installedVersion(name: string): string {
  return (JSON.parse(readFileSync(join(packageFolder(name), "package.json"), "utf8")) as { version: string }).version;
}

/** The folder of an installed npm package, whatever its `exports` hide. */
export function packageFolder(name: string): string {
  let folder = dirname(require.resolve(name));
  while (!folder.endsWith(join("node_modules", name))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`packageFolder("${name}"): resolved, but not below node_modules/${name}.`);
    folder = parent;
  }
  return folder;
}
