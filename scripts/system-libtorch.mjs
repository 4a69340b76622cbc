import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { blasFolder } from "../packages/torch/scripts/locate-libtorch.mjs";
import { runs } from "../packages/torch/scripts/toolchain.mjs";
import { aptInstall, isRoot } from "./apt.mjs";

const blasPackage = "libopenblas0-openmp";
const debianPackages = ["libtorch-dev", blasPackage];

/**
 * Installs the distribution's libtorch where that is possible.
 * @throws {Error} where it is not, with the commands for this platform
 */
export async function installLibtorch() {
  const pip =
    "node packages/torch/bin/iqvae-torch.mjs setup   (puts PyTorch into a Python environment of its own, and says first how large it is)";
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
 * The BLAS that a system libtorch computes with. Debian's first choice is the reference implementation, some 30 times slower
 * than OpenBLAS; OpenBLAS in turn has two builds, and the one on threads of its own gets in the way of libtorch's. The addon
 * takes the OpenMP build where it is installed (see `blasFolder`); nothing else on the system changes its choice.
 * @param {string} libDir the folder of libtorch
 * @returns {Promise<string>} what to tell about it
 */
export async function ensureFastBlas(libDir) {
  const folder = blasFolder(libDir);
  if (!folder || existsSync(folder)) return blasName(libDir);
  const command = `apt-get install -y --no-install-recommends ${blasPackage}`;
  const slow = `${blasName(libDir)}, SLOW beside libtorch; run: sudo ${command}`;
  if (!isRoot || !runs("apt-get")) return slow;
  try {
    await aptInstall([blasPackage], "");
    return blasName(libDir);
  } catch {
    return slow; // works as it is, e.g. without a network
  }
}

function blasName(libDir) {
  const library = join(libDir, "libblas.so.3");
  if (!existsSync(library)) return "";
  const folder = blasFolder(libDir);
  if (folder && existsSync(folder)) return "OpenBLAS on OpenMP";
  return (
    { blas: "reference BLAS", "openblas-pthread": "OpenBLAS on its own threads" }[buildOf(library)] ?? buildOf(library)
  );
}

const buildOf = (library) => basename(dirname(realpathSync(library)));
