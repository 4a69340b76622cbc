import { quietly } from "./step.mjs";

export const isRoot = process.getuid?.() === 0;

/**
 * Installs Debian packages; needs root.
 * @param {readonly string[]} packages
 * @param {string} advice for when it fails
 */
export async function aptInstall(packages, advice) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await quietly("apt-update", ["apt-get", "update"], { env, advice });
  await quietly("apt-install", ["apt-get", "install", "-y", "--no-install-recommends", ...packages], { env, advice });
}
