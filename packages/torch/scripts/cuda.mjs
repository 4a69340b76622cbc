import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

/** The one source that needs CUDA's headers. */
export const CUDA = "cuda.cc";

/** Sources without these headers that call what it has. */
export const CUDA_CALLERS = ["kernels_norm.cc"];

/** What libtorch's own headers of graphs, streams and NVRTC include. */
const HEADERS = ["cuda_runtime_api.h", "crt/host_config.h", "cuda.h", "nvrtc.h"];

/**
 * What `cuda.cc` is compiled with: `HAS_CUDA` where the library has CUDA and the headers are there. Without, it is compiled all the
 * same, and its operators say that they cannot work.
 *
 * @param {import("./locate-libtorch.mjs").Libtorch} libtorch
 * @param {string} native the folder of the sources
 * @returns {{ flags: string[], headers: string[] }} `headers` are those files that it depends on and others do not
 */
export function cudaBuild(libtorch, native) {
  const found = libtorch.cuda ? cudaHeaderFlags(libtorch, HEADERS) : undefined;
  return { flags: found ? ["-DHAS_CUDA", ...found] : [], ...cudaCallerBuild(libtorch, native) };
}

/** What {@link CUDA_CALLERS} depend on and others do not. */
export function cudaCallerBuild(_libtorch, native) {
  const folder = join(native, "cuda");
  const names = readdirSync(folder).filter((name) => name.endsWith(".h"));
  return { headers: names.sort().map((name) => join(folder, name)) };
}

/**
 * Wheels of torch leave CUDA's headers to packages beside it; toolkits put them under /usr/local.
 *
 * @param {import("./locate-libtorch.mjs").Libtorch} libtorch
 * @param {string[]} names of headers
 * @returns {string[] | undefined} flags by which they are found; nothing when one of them is nowhere
 */
export function cudaHeaderFlags({ includeDirs }, names) {
  const beside = resolve(includeDirs[0], "..", "..", "nvidia");
  const packages = existsSync(beside) ? readdirSync(beside).map((name) => join(beside, name, "include")) : [];
  const roots = [...includeDirs, ...packages, "/usr/local/cuda/include", "/usr/include"];
  const places = roots.flatMap((dir) => [dir, join(dir, "cccl")]);
  const found = names.map((name) => places.find((dir) => existsSync(join(dir, name))));
  if (found.includes(undefined)) return undefined;
  const more = [...new Set(found)].filter((dir) => !includeDirs.includes(dir) && dir !== "/usr/include");
  return more.flatMap((dir) => ["-isystem", dir]);
}
