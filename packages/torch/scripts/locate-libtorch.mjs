import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { hasPrivate, privateEnvironment } from "./private-environment.mjs";

/**
 * @typedef {object} Libtorch
 * @property {"LIBTORCH" | "python" | "system" | "private"} source how it was found
 * @property {string} version e.g. "2.4.1", read from the headers that will be compiled against
 * @property {string[]} includeDirs absolute
 * @property {string[]} libDirs absolute
 * @property {string[]} libs names for `-l`, in link order
 * @property {boolean} cxx11Abi the library was built with the C++11 ABI of libstdc++
 * @property {boolean} cuda the library has CUDA kernels (says nothing of a GPU being there)
 * @property {string[]} rpath where the addon looks for the library when it is loaded
 */

const suffix = process.platform === "darwin" ? "dylib" : "so";
const multiarch = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" }[process.arch] ?? "";
const libFolders = ["lib", "lib64", `lib/${multiarch}`];
const systemRoots = ["/usr/local", "/usr", "/opt/libtorch", "/opt/homebrew"];

/**
 * Finds a libtorch to build against: the `LIBTORCH` variable, then the `torch` of the `python3` on the PATH, then one
 * installed in the system, then the one that `npx @iqvae/torch setup` installed. Takes some 100 ms: torch is located in Python, not imported.
 * @param {Record<string, string | undefined>} [env] the environment, for LIBTORCH and PATH
 * @param {string[]} [roots] where a system library may be
 * @returns {Libtorch | undefined} nothing when none fits
 * @throws {Error} when `LIBTORCH` is set and names nothing usable
 */
export function locateLibtorch(env = process.env, roots = systemRoots) {
  if (env.LIBTORCH) return { ...namedLibtorch(resolve(env.LIBTORCH), env), source: "LIBTORCH" };
  const python = pythonTorch("python3", env);
  const own = privateEnvironment(env);
  const installed = hasPrivate(own) ? pythonTorch(join(own, "bin", "python"), env) : undefined;
  const candidates = [
    ...(python ? [["python", python]] : []),
    ...roots.map((root) => ["system", root]),
    ...(installed ? [["private", installed]] : []),
  ];
  for (const [source, root] of candidates) {
    const found = inspectRoot(root);
    if (!("problem" in found))
      return { ...found, source: source === "python" && isSystem(found, roots) ? "system" : source };
  }
  return undefined;
}

/** A libtorch root, a Python executable, or a virtual environment. */
function namedLibtorch(path, env) {
  const fail = (problem) => {
    throw new Error(
      `LIBTORCH=${path} cannot be used: ${problem}. Expected the root of a libtorch (with include/ and lib/), or a Python ` +
        "executable or virtual environment in which torch is installed. Correct it, or unset LIBTORCH to have one looked for.",
    );
  };
  if (!existsSync(path)) fail("there is no such file or folder");
  const python = statSync(path).isFile()
    ? path
    : ["bin/python3", "bin/python"].map((p) => join(path, p)).find(existsSync);
  const isRoot = statSync(path).isDirectory() && (!python || existsSync(join(path, "include", "ATen")));
  const root = isRoot ? path : pythonTorch(python, env);
  if (!root) fail(`${python} is not a Python in which torch is installed`);
  const found = inspectRoot(root);
  if ("problem" in found) fail(found.problem);
  return found;
}

/** Debian's python3-torch is made of links into the system library: the same library, so the same build. */
function isSystem(found, roots) {
  return roots.some((root) => found.libDirs.some((dir) => libFolders.some((folder) => dir === join(root, folder))));
}

/** The folder of the `torch` package that `python` would import, links of the folder itself resolved. */
function pythonTorch(python, env) {
  // The first entry of sys.path is the working folder, where a folder that happens to be called "torch" would be found.
  const script =
    "import sys; sys.path.pop(0); import importlib.util as u; s = u.find_spec('torch'); print('\\n' + (s and s.origin or ''))";
  const { status, stdout } = spawnSync(python, ["-c", script], { env, encoding: "utf8" });
  // Some Pythons greet their users, or say goodbye: the path is the line that is one.
  const lines = status === 0 ? stdout.split(/\r?\n/) : [];
  const origin = lines.findLast((line) => /[\\/]torch[\\/]__init__\.\w+$/.test(line) && existsSync(line));
  return origin && dirname(realpathSync(origin));
}

/**
 * Headers and libraries below `root`, or the reason why they cannot be used.
 * @param {string} root
 */
function inspectRoot(root) {
  const header = join(root, "include", "ATen", "ATen.h");
  if (!existsSync(header)) return { problem: `it has no C++ headers (looked for ${header})` };
  const library = libFolders.map((folder) => join(root, folder, `libtorch_cpu.${suffix}`)).find(existsSync);
  if (!library) return { problem: `it has no libtorch_cpu.${suffix} in ${join(root, "lib")}` };
  const include = dirname(dirname(realpathSync(header)));
  const version = headerVersion(include);
  if (!version) return { problem: `${include}/torch/version.h names no version` };
  const libDir = dirname(realpathSync(library));
  const cuda = existsSync(join(libDir, `libtorch_cuda.${suffix}`));
  return {
    version,
    includeDirs: [include, join(include, "torch/csrc/api/include"), ...(cuda ? cudaHeaders(root) : [])],
    libDirs: [libDir],
    libs: ["torch", "torch_cpu", "c10", ...(cuda ? ["torch_cuda", "c10_cuda"] : [])],
    cxx11Abi: usesCxx11Abi(join(libDir, `libc10.${suffix}`)),
    cuda,
    rpath: [blasFolder(libDir), libDir].filter(Boolean),
  };
}

/**
 * The folder of the BLAS that the addon prefers to the system's, whether it is installed or not: OpenBLAS on OpenMP, whose
 * threads are libtorch's own. Those of Debian's first choice are others, and the two kinds wait for each other on the same cores.
 * @param {string} libDir the folder of libtorch
 * @returns {string | undefined} nothing where libtorch brings its own BLAS, or where the system's was chosen by hand
 */
export function blasFolder(libDir) {
  const library = join(libDir, "libblas.so.3");
  if (!existsSync(library)) return undefined;
  const chosen = basename(dirname(realpathSync(library)));
  return ["blas", "openblas-pthread", "openblas-openmp"].includes(chosen) ? join(libDir, "openblas-openmp") : undefined;
}

/** The version that the headers state; its file has moved with time. */
function headerVersion(include) {
  const files = ["torch/csrc/api/include/torch/version.h", "torch/headeronly/version.h"].map((file) =>
    join(include, file),
  );
  const text = files.map((file) => (existsSync(file) ? readFileSync(file, "utf8") : "")).join("\n");
  const parts = ["MAJOR", "MINOR", "PATCH"].map((part) => new RegExp(`TORCH_VERSION_${part} (\\d+)`).exec(text)?.[1]);
  return parts.every((part) => part !== undefined) ? parts.join(".") : undefined;
}

/** Reads the ABI off the mangled name of a function that takes a string; asking Python would import torch: seconds. */
function usesCxx11Abi(libc10) {
  return !existsSync(libc10) || !readFileSync(libc10).includes("torchCheckFailEPKcS2_jRKSs");
}

/** Wheels of torch leave CUDA's headers to packages beside it, toolkits put them under /usr/local. */
function cudaHeaders(root) {
  const beside = resolve(root, "..", "nvidia");
  const packages = existsSync(beside) ? readdirSync(beside).map((name) => join(beside, name, "include")) : [];
  const found = [...packages, "/usr/local/cuda/include"].find((dir) => existsSync(join(dir, "cuda_runtime_api.h")));
  return found ? [found] : [];
}
