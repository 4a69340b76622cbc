import { closeSync, existsSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { cudaHeaderFlags } from "./cuda.mjs";

/** The one source that needs c10d, libtorch's groups of processes. */
export const DISTRIBUTED = "distributed.cc";

const suffix = process.platform === "darwin" ? "dylib" : "so";

/**
 * What `distributed.cc` is compiled with: `HAS_C10D` where the library has c10d with Gloo, and `HAS_NCCL` where it has NCCL and the headers
 * that this takes are there. Without the first it is compiled all the same, and its operators say that they cannot work: a library that
 * lacks a symbol could not be loaded at all.
 *
 * @param {import("./locate-libtorch.mjs").Libtorch} libtorch
 * @param {string} native the folder of the sources, with stand-ins for Gloo's headers
 * @returns {{ flags: string[], headers: string[] }} `headers` are those files that it depends on and others do not
 */
export function distributedBuild(libtorch, native) {
  const headers = ["gloo", "distributed"].flatMap((folder) =>
    readdirSync(join(native, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".h"))
      .sort()
      .map((name) => join(native, folder, name)),
  );
  const flags = hasGloo(libtorch) ? ["-DHAS_C10D", ...ncclFlags(libtorch)] : [];
  return { flags, headers };
}

const C10D = "torch/csrc/distributed/c10d";

function hasGloo({ includeDirs, libDirs }) {
  const header = join(includeDirs[0], C10D, "ProcessGroupGloo.hpp");
  return existsSync(header) && exports(join(libDirs[0], `libtorch_cpu.${suffix}`), "c10d16ProcessGroupGlooC1E");
}

/** @returns {string[]} nothing where NCCL, or one of the headers that its own include, is missing */
function ncclFlags(libtorch) {
  const { includeDirs, libDirs, cuda } = libtorch;
  if (!cuda || !existsSync(join(includeDirs[0], C10D, "ProcessGroupNCCL.hpp"))) return [];
  const headers = cudaHeaderFlags(libtorch, ["nccl.h", "crt/host_config.h", "nv/target"]);
  if (headers === undefined || !exports(join(libDirs[0], `libtorch_cuda.${suffix}`), "c10d16ProcessGroupNCCLC1E"))
    return [];
  return ["-DHAS_NCCL", ...headers];
}

const BLOCK = 1 << 24;

/** Whether a name stands among the strings of a library, which may be larger than what a buffer can hold. */
function exports(library, name) {
  if (!existsSync(library)) return false;
  const file = openSync(library, "r");
  try {
    // Blocks overlap, so that no name is cut in two.
    const block = Buffer.alloc(BLOCK + name.length);
    for (let at = 0; ; at += BLOCK) {
      const read = readSync(file, block, 0, block.length, at);
      if (block.subarray(0, read).includes(name)) return true;
      if (read < block.length) return false;
    }
  } finally {
    closeSync(file);
  }
}
