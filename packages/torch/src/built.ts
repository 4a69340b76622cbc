import { existsSync, readFileSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import { prebuiltLibrary } from "./prebuilt.ts";

let setup = "npx @iqvae/torch";

/** @internal Has the errors of an installed program name its own command that builds what it needs. */
export function nameSetup(command: string): void {
  setup = command;
}

/**
 * Where a library lies that `scripts/build-native.mjs` built for the present `LIBTORCH`, by the record that it keeps; else the one of an
 * installed package of prebuilt libraries that fits the libtorch that is here. What somebody built goes before. The variable `TORCH_BUILD`
 * names a folder within for a build of another kind, such as `sanitized`.
 *
 * @param build the folder that it was built in
 * @param prebuilt its name in packages of prebuilt libraries; none for a library that they do not have
 * @throws {Error} when there is none, with what to type
 */
export function builtLibrary(build: string, prebuilt?: string): string {
  const folder = join(build, process.env.TORCH_BUILD ?? "");
  const record = join(folder, "current.json");
  const key = process.env.LIBTORCH ? resolve(process.env.LIBTORCH) : "";
  const built = existsSync(record) ? (JSON.parse(readFileSync(record, "utf8")) as Record<string, string>) : {};
  const library = built[key];
  if (library !== undefined && existsSync(join(folder, library))) return join(folder, library);
  const other = prebuilt === undefined || process.env.TORCH_BUILD ? { problem: "" } : prebuiltLibrary(prebuilt);
  if ("path" in other) return other.path;
  const why = other.problem === "" ? "" : ` (${other.problem})`;
  const whose = key === "" ? "" : ` for LIBTORCH=${key}`;
  const type = folder.split(sep).includes("node_modules") ? setup : "npm run setup";
  throw new Error(`no native library is built in ${resolve(folder)}${whose}${why}; run \`${type}\``);
}
