import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildKernels, buildNative, generateTypes } from "../packages/torch/scripts/build-native.mjs";
import { locateLibtorch } from "../packages/torch/scripts/locate-libtorch.mjs";
import { findCompiler } from "../packages/torch/scripts/toolchain.mjs";
import { checkNode } from "./node-version.mjs";
import { installPackages, packagesInstalled } from "./packages.mjs";
import { duration, quietly, root, step } from "./step.mjs";
import { ensureFastBlas, installLibtorch } from "./system-libtorch.mjs";

/** Sets up all that is missing to run from a bare checkout but the compiled TypeScript; a second time it only looks. */
export async function setup() {
  checkNode(process.versions.node);
  findCompiler();
  await step("npm packages", async (takes) => {
    if (packagesInstalled(root)) return;
    takes("about a minute, by the network");
    await installPackages();
  });
  let libtorch = locateLibtorch();
  await step("libtorch", async (takes) => {
    if (!libtorch) {
      takes("about two minutes, by the network");
      await installLibtorch();
    }
    libtorch ??= locateLibtorch();
    if (!libtorch)
      throw new Error("libtorch was installed but is not where it was expected. Name its root by LIBTORCH.");
    const blas = await ensureFastBlas(libtorch.libDirs[0]);
    return [`${libtorch.version} (${libtorch.source})`, libtorch.cuda && "CUDA", blas].filter(Boolean).join(", ");
  });
  await step("native addon", async (takes) => {
    const { library, compiled } = await buildNative({ libtorch, takes: (seconds) => takes(duration(seconds)) });
    const types = await generateTypes(library);
    return [said(compiled), types && "types generated"].filter(Boolean).join(", ");
  });
  await step("native kernels", async (takes) => {
    const folder = join(root, "packages/iqvae");
    const { compiled } = await buildKernels(folder, { libtorch, takes: (seconds) => takes(duration(seconds)) });
    return said(compiled);
  });
}

const said = ({ length }) => (length > 0 ? `${length} files compiled` : undefined);

/** Compiles both packages to their dist/. */
export async function compileTypeScript() {
  await step("TypeScript", (takes) => {
    if (!existsSync(join(root, "packages/iqvae/dist"))) takes(duration(15));
    return quietly("tsc", [
      process.execPath,
      "node_modules/typescript/bin/tsc",
      "-b",
      "packages/torch",
      "packages/iqvae",
    ]);
  });
}

/** Builds the page of the studio, where `iqvae studio` looks for it. */
export async function buildPage() {
  await step("page", (takes) => {
    takes(duration(10));
    return quietly("page", ["npm", "run", "build", "--workspace", "apps/studio"]);
  });
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
