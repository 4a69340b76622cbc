import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildKernels, buildNative } from "../packages/torch/scripts/build-native.mjs";
import { locateLibtorch } from "../packages/torch/scripts/locate-libtorch.mjs";
import { findCompiler, flagsFor, runCaptured } from "../packages/torch/scripts/toolchain.mjs";
import { npmPack, PREBUILT } from "./pack.mjs";
import { root } from "./step.mjs";

/*
 * Packs the native libraries for the present libtorch (LIBTORCH, or what is found) and platform, as a package that others install in place
 * of a compiler: build/prebuilt/iqvae-torch-MINOR-PLATFORM-ARCH-VERSION.tgz, which `npm run pack` takes along. Run it once for each libtorch, on the oldest
 * system that is to be supported: what is built there runs on newer ones.
 */

/**
 * @param {string} [to] the folder for the tarball
 * @returns {Promise<string>} the tarball
 * @throws {Error} without libtorch or a compiler, and for a libtorch with CUDA: its libraries are too many kinds
 */
export async function prebuild(to = PREBUILT) {
  const libtorch = locateLibtorch();
  if (!libtorch) throw new Error("No libtorch was found. Run `npm run setup`, or name one by the LIBTORCH variable.");
  if (libtorch.cuda)
    throw new Error(
      `${libtorch.libDirs[0]} has CUDA; prebuilt libraries are for libtorch without. Name another by LIBTORCH.`,
    );
  const compiler = findCompiler();
  const work = mkdtempSync(join(tmpdir(), "iqvae-prebuild-"));
  try {
    const { version, engines, license, publishConfig } = JSON.parse(
      readFileSync(join(root, "packages/torch/package.json"), "utf8"),
    );
    const minor = libtorch.version.split(".").slice(0, 2).join(".");
    const name = `torch-${minor}-${process.platform}-${process.arch}`;
    // Where libtorch lies on this machine means nothing elsewhere: it is opened before, see packages/torch/src/prebuilt.ts.
    const { link } = flagsFor({ ...libtorch, rpath: [] });
    for (const [{ library, info }, file] of [
      [await buildNative({ libtorch, compiler }), "torch.node"],
      [await buildKernels(join(root, "packages/iqvae"), { libtorch, compiler }), "kernels.so"],
    ]) {
      const objects = info.objects.map((object) => join(dirname(library), "objects", object));
      await compile(compiler, ["-o", join(work, file), ...objects, ...link, "-s"]);
    }
    const { compile: flags } = flagsFor(libtorch);
    const source = join(root, "packages/torch/native/prebuilt/preload.cc");
    const shared = process.platform === "darwin" ? ["-dynamiclib", "-undefined", "dynamic_lookup"] : ["-shared"];
    await compile(compiler, [...flags, ...shared, source, "-o", join(work, "preload.node"), "-ldl", "-s"]);
    copyFileSync(join(root, "LICENSE"), join(work, "LICENSE"));
    writeFileSync(
      join(work, "README.md"),
      `# @iqvae/${name}\n\nThe native libraries of \`@iqvae/torch\` and \`iqvae\` for libtorch ${minor} on ${process.platform}, ${process.arch}. They are taken where that libtorch is installed.\n`,
    );
    const manifest = {
      ...{
        name: `@iqvae/${name}`,
        version,
        description: `Native libraries of @iqvae/torch for libtorch ${minor}`,
        license,
        engines,
      },
      ...{ os: [process.platform], cpu: [process.arch], ...(process.platform === "linux" && { libc: ["glibc"] }) },
      ...{ exports: { "./package.json": "./package.json" }, files: ["torch.node", "kernels.so", "preload.node"] },
      ...{ libtorch: { version: minor, cxx11Abi: libtorch.cxx11Abi }, publishConfig },
    };
    writeFileSync(join(work, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
    mkdirSync(to, { recursive: true });
    return npmPack(work, resolve(to));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function compile({ command, args: own }, more) {
  const args = [...own, ...more];
  const { ok, output } = await runCaptured(command, args);
  if (!ok) throw new Error(`${command} ${args.join(" ")} failed:\n\n${output}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await prebuild(process.argv[2]));
