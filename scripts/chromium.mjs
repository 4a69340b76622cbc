import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { runs } from "../packages/torch/scripts/toolchain.mjs";
import { aptInstall, isRoot } from "./apt.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const PACKAGE = "chromium";

/** The path of the browser that tests and benches run in: the one that the variable CHROMIUM names, else the first on the path. */
export function findChromium() {
  const named = process.env.CHROMIUM;
  if (named) return existsSync(named) ? named : undefined;
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
}

/**
 * Installs the distribution's Chromium where there is none, for the tests.
 * @returns {Promise<string>} its path
 * @throws {Error} where that is not possible, with what to do
 */
export async function ensureChromium() {
  const found = findChromium();
  if (found) return found;
  const advice = "Name a browser of your own by the variable CHROMIUM.";
  const command = `apt-get update && apt-get install -y --no-install-recommends ${PACKAGE}`;
  if (!runs("apt-get") || !isRoot)
    throw new Error(`the tests need Chromium, and none was found. Run\n\n  sudo sh -c "${command}"\n\n${advice}`);
  await aptInstall([PACKAGE], advice);
  const installed = findChromium();
  if (!installed) throw new Error(`${PACKAGE} was installed, but is not on the path. ${advice}`);
  return installed;
}
