import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

const build = fileURLToPath(new URL("../build/", import.meta.url));

/**
 * Where the addon lies that was built for the present `LIBTORCH`, by the record that scripts/build-native.mjs keeps.
 * @throws {Error} when none was built for it
 */
export function addonPath(): string {
  const record = `${build}current.json`;
  const key = process.env.LIBTORCH ? resolve(process.env.LIBTORCH) : "";
  const built = existsSync(record) ? (JSON.parse(readFileSync(record, "utf8")) as Record<string, string>) : {};
  const addon = built[key];
  if (addon !== undefined && existsSync(build + addon)) return build + addon;
  const whose = key === "" ? "" : ` for LIBTORCH=${key}`;
  throw new Error(`@iqvae/torch: the native addon is not built${whose}; run \`npm run setup\``);
}
