import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildNative } from "../packages/torch/scripts/build-native.mjs";
import { locateLibtorch } from "../packages/torch/scripts/locate-libtorch.mjs";
import { findCompiler, LANGUAGE_FLAGS, runCaptured, runs } from "../packages/torch/scripts/toolchain.mjs";
import { root } from "./step.mjs";

/*
 * Tries the C++ with every compiler that is installed: `node scripts/compilers.mjs [--loops]`. The loops of the kernels are
 * compiled without libtorch and run in every instruction set that the processor has; then, unless `--loops`, everything is built
 * against libtorch and loaded.
 */

/** GCC 11 is the oldest that can be used; Debian 12 has it beside GCC 12 and Clang 14. */
export const COMPILERS = ["g++-11", "g++", "clang++"];

/** Where both are installed, the loops run as ARM's processors would run them. */
export const ARM = { compiler: "aarch64-linux-gnu-g++", emulator: "qemu-aarch64-static" };

const PACKAGES = ["torch", "iqvae"];
const sources = (name) => join(root, "packages", name, "native");

/**
 * Compiles and runs the loops of a package.
 * @param {"torch" | "iqvae"} name
 * @param {string} compiler a command
 * @param {string} [emulator] a command that runs what another processor would
 * @returns {Promise<string>} compiler and instruction set, as the compiled program tells them
 * @throws {Error} with what the compiler or the program says
 */
export async function tryLoops(name, compiler, emulator) {
  const folder = mkdtempSync(join(tmpdir(), "loops-"));
  try {
    const program = join(folder, "loops");
    const includes = [sources("torch"), sources(name), join(root, "packages/torch/test/native")].map(
      (dir) => `-I${dir}`,
    );
    const source = join(root, "packages", name, "test/native/loops.cc");
    // The libraries of another processor are not here.
    const whole = emulator === undefined ? [] : ["-static"];
    const flags = [...LANGUAGE_FLAGS, ...whole, "-Werror", ...includes];
    const compiled = await runCaptured(compiler, [...flags, source, "-o", program]);
    if (!compiled.ok) throw new Error(`${compiler} does not compile ${source}:\n${compiled.output}`);
    const missing = process.arch === "x64" && emulator === undefined ? await missingRegisters(program) : [];
    if (missing.length > 0) throw new Error(`${compiler} compiled ${source} without ${missing.join(" and ")}`);
    const ran = emulator === undefined ? await runCaptured(program, []) : await runCaptured(emulator, [program]);
    if (!ran.ok) throw new Error(`${source}, compiled by ${compiler}:\n${ran.output}`);
    return ran.output.trim();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Registers of AVX2 and AVX-512 that no instruction of `program` uses: a compiler may leave an attribute out without a word. */
async function missingRegisters(program) {
  const { ok, output } = await runCaptured("objdump", ["-d", "--no-show-raw-insn", program]);
  if (!ok) throw new Error(`objdump ${program}:\n${output}`);
  return ["ymm", "zmm"].filter((register) => !new RegExp(`vfmadd.*%${register}`).test(output));
}

/** Builds addon and kernels with `command`, loads both, and names what the addon says of its kernels. */
async function tryBuild(command) {
  const folder = mkdtempSync(join(tmpdir(), "build-"));
  try {
    const [libtorch, compiler] = [locateLibtorch(), findCompiler({ CXX: command })];
    const build = (name, file) =>
      buildNative({ native: sources(name), build: join(folder, name), name: file, libtorch, compiler });
    const [addon, kernels] = [await build("torch", "torch.node"), await build("iqvae", "kernels.so")];
    const script = `const addon = require(${JSON.stringify(addon.library)}); addon.loadLibrary(${JSON.stringify(kernels.library)});
      console.log(addon.compiler + ", " + addon.instructionSet + ", " + addon.operatorNames().filter((name) => /^(fused|iqvae)::/.test(name)).length + " kernels");`;
    const { ok, output } = await runCaptured(process.execPath, ["-e", script]);
    if (!ok) throw new Error(`what ${command} built does not load:\n${output}`);
    return output.trim();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const compiler of COMPILERS.filter(runs)) {
    for (const name of PACKAGES) console.log(`${compiler}, loops of ${name}: ${await tryLoops(name, compiler)}`);
    if (!process.argv.includes("--loops")) console.log(`${compiler}, all: ${await tryBuild(compiler)}`);
  }
  const { compiler, emulator } = ARM;
  if ([compiler, emulator].every(runs))
    for (const name of PACKAGES)
      console.log(`${compiler}, loops of ${name}: ${await tryLoops(name, compiler, emulator)}`);
}
