import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildKernels, buildNative, generateTypes } from "../packages/torch/scripts/build-native.mjs";
import { locateLibtorch } from "../packages/torch/scripts/locate-libtorch.mjs";
import { findCompiler } from "../packages/torch/scripts/toolchain.mjs";
import { checkNode } from "./node-version.mjs";
import { installPackages, packagesInstalled } from "./packages.mjs";
import { quietly, root, step } from "./step.mjs";
import { ensureFastBlas, installLibtorch } from "./system-libtorch.mjs";

/** Sets up all that is missing to run from a bare checkout but the compiled TypeScript; a second time it only looks. */
export async function setup() {
  checkNode(process.versions.node);
  findCompiler();
  await step("npm packages", async () => {
    if (!packagesInstalled(root)) await installPackages();
  });
  let libtorch = locateLibtorch();
  await step("libtorch", async () => {
    if (!libtorch) await installLibtorch();
    libtorch ??= locateLibtorch();
    if (!libtorch)
      throw new Error("libtorch was installed but is not where it was expected. Name its root by LIBTORCH.");
    const blas = await ensureFastBlas(libtorch.libDirs[0]);
    return [`${libtorch.version} (${libtorch.source})`, libtorch.cuda && "CUDA", blas].filter(Boolean).join(", ");
  });
  await step("native addon", async () => {
    const addon = await buildNative({ libtorch });
    const types = await generateTypes(addon.library);
    const kernels = await buildKernels(join(root, "packages/iqvae"), libtorch);
    const compiled = addon.compiled.length + kernels.compiled.length;
    return [compiled > 0 && `${compiled} files compiled`, types && "types generated"].filter(Boolean).join(", ");
  });
}

/** Compiles both packages to their dist/. */
export async function compileTypeScript() {
  await step("TypeScript", () =>
    quietly("tsc", [process.execPath, "node_modules/typescript/bin/tsc", "-b", "packages/torch", "packages/iqvae"]),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await setup();
    await compileTypeScript();
  } catch (error) {
    console.error(`\n${error.message}`);
    process.exitCode = 1;
  }
}
