import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/**
 * Where a library lies that `scripts/build-native.mjs` built for the present `LIBTORCH`, by the record that it keeps.
 *
 * @param build the folder that it was built in
 * @throws {Error} when none was built for it
 */
export function builtLibrary(build: string): string {
  const record = join(build, "current.json");
  const key = process.env.LIBTORCH ? resolve(process.env.LIBTORCH) : "";
  const built = existsSync(record) ? (JSON.parse(readFileSync(record, "utf8")) as Record<string, string>) : {};
  const library = built[key];
  if (library !== undefined && existsSync(join(build, library))) return join(build, library);
  const whose = key === "" ? "" : ` for LIBTORCH=${key}`;
  throw new Error(`no native library is built in ${resolve(build)}${whose}; run \`npm run setup\``);
}
