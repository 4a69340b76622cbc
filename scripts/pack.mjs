import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "./step.mjs";

/*
 * Packs the packages as they are published: compiles them, puts into each what lies elsewhere in the repository, and has npm make tarballs of
 * them in build/packages. Not by a script that npm runs by itself: .npmrc forbids those, ours and others'.
 */

/** In the order in which they depend on each other. */
export const PACKAGES = ["torch", "runtime", "iqvae"];

/**
 * @param {string} [to] the folder for the tarballs
 * @returns {Record<string, string>} the tarballs by the folders of their packages
 */
export function packAll(to = join(root, "build", "packages")) {
  mkdirSync(to, { recursive: true });
  run("node_modules/typescript/bin/tsc", "-b", ...PACKAGES.map((name) => `packages/${name}`));
  run("node_modules/vite/bin/vite.js", "build", "--config", "apps/studio/vite.config.ts", "--logLevel", "error");
  return Object.fromEntries(PACKAGES.map((name) => [name, pack(name, to)]));
}

function pack(name, to) {
  const folder = join(root, "packages", name);
  const added = ADDED.filter(({ only = name }) => only === name).map(({ from, as = from, skip = () => false }) => {
    const [source, target] = [join(root, from), join(folder, as)];
    rmSync(target, { recursive: true, force: true });
    cpSync(source, target, { recursive: true, filter: (path) => !skip(path.slice(source.length)) });
    return target;
  });
  try {
    const { status, stdout, stderr } = spawnSync("npm", ["pack", "--json", "--pack-destination", to], {
      cwd: folder,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`npm pack failed in ${folder}:\n${stderr}`);
    return join(to, JSON.parse(stdout)[0].filename);
  } finally {
    // In the repository the program takes them from where they are made.
    for (const target of added) rmSync(target, { recursive: true, force: true });
  }
}

/** What packages hold besides their own folders. */
const ADDED = [
  { from: "LICENSE" },
  { from: "THIRD_PARTY.md", only: "iqvae" },
  // The graphs are for other runtimes; they are in the repository, and `iqvae export` writes them.
  { from: "models", only: "iqvae", skip: (path) => path.endsWith(".onnx") },
  // The models of the page are those that are served.
  { from: "apps/studio/dist", as: "page", only: "iqvae", skip: (path) => path.startsWith("/models") },
];

function run(script, ...args) {
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error(`node ${script} ${args.join(" ")} failed`);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const tarball of Object.values(packAll(process.argv[2]))) console.log(tarball);
