import { existsSync, readFileSync } from "node:fs";
import { join, resolve, sep } from "node:path";

/**
 * Where a library lies that `scripts/build-native.mjs` built for the present `LIBTORCH`, by the record that it keeps. The variable
 * `TORCH_BUILD` names a folder within for a build of another kind, such as `sanitized`.
 *
 * @param build the folder that it was built in
 * @throws {Error} when none was built for it
 */
export function builtLibrary(build: string): string {
  const folder = join(build, process.env.TORCH_BUILD ?? "");
  const record = join(folder, "current.json");
  const key = process.env.LIBTORCH ? resolve(process.env.LIBTORCH) : "";
  const built = existsSync(record) ? (JSON.parse(readFileSync(record, "utf8")) as Record<string, string>) : {};
  const library = built[key];
  if (library !== undefined && existsSync(join(folder, library))) return join(folder, library);
  const whose = key === "" ? "" : ` for LIBTORCH=${key}`;
  const type = folder.split(sep).includes("node_modules") ? "npx @iqvae/torch" : "npm run setup";
  throw new Error(`no native library is built in ${resolve(folder)}${whose}; run \`${type}\``);
}
