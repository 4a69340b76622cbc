import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { quietly } from "./step.mjs";

/**
 * Whether node_modules holds what the lock file asks for. Contents are compared, not dates: a checkout gives every file
 * the date of the checkout.
 * @param {string} folder of the workspace
 */
export function packagesInstalled(folder) {
  const installed = packagesOf(join(folder, "node_modules", ".package-lock.json"));
  const wanted = packagesOf(join(folder, "package-lock.json"));
  return Object.entries(wanted).every(
    ([path, { version, link, optional }]) =>
      !path.includes("node_modules/") || optional || (installed[path] && (link || installed[path].version === version)),
  );
}

function packagesOf(lock) {
  return existsSync(lock) ? JSON.parse(readFileSync(lock, "utf8")).packages : {};
}

export async function installPackages() {
  const advice = "npm needs the network here. Behind a proxy, set HTTPS_PROXY or npm's registry option.";
  await quietly("npm-ci", ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=warn"], { advice });
}
