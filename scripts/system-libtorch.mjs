import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { runs } from "../packages/torch/scripts/toolchain.mjs";
import { quietly } from "./step.mjs";

const debianPackages = ["libtorch-dev", "libopenblas0"];
const isRoot = process.getuid?.() === 0;

/**
 * Installs the distribution's libtorch where that is possible.
 * @throws {Error} where it is not, with the commands for this platform
 */
export async function installLibtorch() {
  const pip = "pip install torch   (in a virtual environment; then set LIBTORCH to that environment's folder)";
  if (!runs("apt-get")) throw new Error(`libtorch was not found. Install it with Python:\n\n  ${pip}`);
  const apt = `apt-get update && apt-get install -y --no-install-recommends ${debianPackages.join(" ")}`;
  if (!isRoot) {
    throw new Error(
      `libtorch was not found, and installing it needs root. Run\n\n  sudo sh -c "${apt}"\n\nor\n\n  ${pip}`,
    );
  }
  await aptInstall(debianPackages, `libtorch may also come from Python: ${pip}`);
}

/**
 * The BLAS that a system libtorch computes with. Debian's first choice is the reference implementation, some 30 times
 * slower than OpenBLAS, which is put in its place when that is allowed.
 * @param {string} libDir the folder of libtorch
 * @returns {Promise<string>} what to tell about it
 */
export async function ensureFastBlas(libDir) {
  if (!existsSync(join(libDir, "libblas.so.3"))) return "";
  if (!isReferenceBlas(libDir)) return blasName(libDir);
  const alternative = `libblas.so.3-${basename(libDir)}`;
  const fast = join(libDir, "openblas-pthread", "libblas.so.3");
  if (!isRoot) {
    const commands = `apt-get install -y libopenblas0 && update-alternatives --set ${alternative} ${fast}`;
    return `SLOW reference BLAS; run: sudo sh -c "${commands}"`;
  }
  if (!existsSync(fast)) await aptInstall(["libopenblas0"], "");
  if (isReferenceBlas(libDir)) await quietly("blas", ["update-alternatives", "--set", alternative, fast]);
  return `${blasName(libDir)}, put in place of the reference BLAS`;
}

const blasPath = (libDir) => realpathSync(join(libDir, "libblas.so.3"));
const isReferenceBlas = (libDir) => basename(dirname(blasPath(libDir))) === "blas";
const blasName = (libDir) => (blasPath(libDir).includes("openblas") ? "OpenBLAS" : basename(dirname(blasPath(libDir))));

async function aptInstall(packages, advice) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await quietly("apt-update", ["apt-get", "update"], { env, advice });
  await quietly("apt-install", ["apt-get", "install", "-y", "--no-install-recommends", ...packages], { env, advice });
}
