import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const mac = process.platform === "darwin";

/** How to get a compiler, by the package manager that is there. */
const installCommands = [
  ["apt-get", "apt-get update && apt-get install -y g++"],
  ["dnf", "dnf install -y gcc-c++"],
  ["pacman", "pacman -S --needed gcc"],
  ["brew", "xcode-select --install"],
];

/** @param {string} command @returns {boolean} whether it is on the PATH and runs */
export const runs = (command) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;

/**
 * The C++ compiler: `CXX`, else the first of the usual names. As for make, `CXX` may have arguments: `ccache g++`, `g++ -m64`.
 * @returns {{ command: string, args: string[], version: string }}
 * @throws {Error} with the command that installs one on this platform, unless `CXX` is what is wrong
 */
export function findCompiler(env = process.env) {
  const named = env.CXX?.trim();
  // A path may have spaces, too.
  for (const [command, ...args] of named ? [[named], named.split(/\s+/)] : [["c++"], ["g++"], ["clang++"]]) {
    const { status, stdout } = spawnSync(command, [...args, "--version"], { encoding: "utf8" });
    if (status === 0) return { command, args, version: stdout.split("\n")[0] };
  }
  const needed = "A C++ compiler is needed to build the libtorch addon, but";
  if (named) throw new Error(`${needed} CXX=${env.CXX} does not run. Correct CXX, or unset it to have one looked for.`);
  const install =
    installCommands.find(([manager]) => runs(manager))?.[1] ?? "your system's package manager (g++ or clang++)";
  throw new Error(`${needed} none of c++, g++, clang++ runs. Install one: ${install}`);
}

/**
 * The kernels vectorize loops with square roots and choices, which `errno` and floating-point traps would forbid. What may
 * change the results of sums is not among these.
 */
export const LANGUAGE_FLAGS = [
  ...["-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fPIC"],
  ...["-Wall", "-Wextra", "-Wno-unused-parameter"],
];

/**
 * Flags that compile and link against `libtorch`. No flag assumes this machine's processor, so that a build can be
 * carried elsewhere; faster instruction sets are chosen at run time, in functions with a target attribute.
 * @param {import("./locate-libtorch.mjs").Libtorch} libtorch
 */
export function flagsFor(libtorch) {
  const napi = join(fileURLToPath(import.meta.resolve("node-api-headers/package.json")), "..", "include");
  // Naming the compiler's own folder as a system folder would break its order, by which <stdlib.h> is found.
  const system = libtorch.includeDirs.filter((dir) => dir !== "/usr/include").flatMap((dir) => ["-isystem", dir]);
  return {
    compile: [
      ...LANGUAGE_FLAGS,
      `-std=c++${languageVersion(libtorch)}`,
      `-D_GLIBCXX_USE_CXX11_ABI=${Number(libtorch.cxx11Abi)}`,
      `-I${napi}`,
      ...system,
    ],
    link: [
      // The old kind of rpath holds for what libtorch itself needs, too: its BLAS.
      ...(mac
        ? ["-dynamiclib", "-undefined", "dynamic_lookup"]
        : ["-shared", "-Wl,--no-as-needed", "-Wl,--disable-new-dtags"]),
      ...libtorch.libDirs.map((dir) => `-L${dir}`),
      ...libtorch.libs.map((lib) => `-l${lib}`),
      ...libtorch.rpath.map((dir) => `-Wl,-rpath,${dir}`),
    ],
  };
}

/** The headers say which language they need once it is newer than C++17. */
function languageVersion({ includeDirs }) {
  const text = readFileSync(join(includeDirs[0], "ATen", "ATen.h"), "utf8");
  return Math.max(17, Number(/C\+\+(\d\d) or later compatible compiler is required/.exec(text)?.[1] ?? 17));
}

/**
 * @param {string} command @param {string[]} args
 * @returns {Promise<{ ok: boolean, output: string }>} what it wrote to both streams
 */
export function runCaptured(command, args, options = {}) {
  return new Promise((done) => {
    const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    child.on("error", (error) => done({ ok: false, output: `${command}: ${error.message}` }));
    child.on("close", (code) => done({ ok: code === 0, output }));
  });
}
