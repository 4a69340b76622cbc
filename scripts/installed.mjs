import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./step.mjs";

/* Packages as they are after `npm install`, or pnpm's, in an empty folder. */

/** @throws {Error} with what the command wrote, when it fails @returns {string} its standard output */
export function run(folder, command, ...args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed:\n${error?.message ?? ""}${stdout}${stderr}`);
  return stdout;
}

/** Installs packages, or tarballs, in a new folder. */
export function install(folder, ...packages) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  add(folder, ...packages);
}

/** Installs more packages in a folder that has some. */
export function add(folder, ...packages) {
  run(folder, "npm", "install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", ...packages);
}

/** pnpm, from npm's package of that name, in a folder of its own. @returns {string} its script */
export function pnpmOf(folder) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  run(folder, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "pnpm@10"); // the last for Node.js 20
  return join(folder, "node_modules", "pnpm", "bin", "pnpm.cjs");
}

/**
 * Installs tarballs in a new folder by pnpm, which gives each package only what it asks for, and runs no scripts.
 * @param {Record<string, string>} tarballs by the names of their packages
 */
export function installByPnpm(folder, pnpm, tarballs) {
  const files = Object.fromEntries(Object.entries(tarballs).map(([name, path]) => [name, `file:${path}`]));
  // They ask for each other by versions that are not published yet.
  const dependencies = { ...files, "@types/node": "20" };
  const manifest = { private: true, type: "module", dependencies, pnpm: { overrides: files } };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  run(
    folder,
    process.execPath,
    pnpm,
    "install",
    "--no-frozen-lockfile",
    "--store-dir",
    join(folder, "..", "pnpm-store"),
  );
}

/** The given version of Node.js, from npm's package of that name, in a folder of its own. @returns {string} its path */
export function nodeOf(version, folder) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  // What is to be run lies in a package for each platform, which a script of this one would choose.
  run(folder, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts=false", `node@${version}`);
  return join(folder, "node_modules", "node", "bin", "node");
}

/** Uses the packages that are installed in a folder. @param parts of that, or all @returns what `packages/use.mjs` says */
export function use(folder, node = process.execPath, ...parts) {
  cpSync(join(root, "scripts/packages/use.mjs"), join(folder, "use.mjs"));
  return JSON.parse(run(folder, node, "use.mjs", ...parts));
}

/** Runs the code of the packages' READMEs. @returns {Record<string, number>} how many blocks of each */
export function runReadmes(folder, node, computes) {
  cpSync(join(root, "scripts/packages/readme.mjs"), join(folder, "readme.mjs"));
  return JSON.parse(run(folder, node, "readme.mjs", ...(computes ? ["--native"] : [])));
}

/** Compiles a program that uses them, as Node.js finds types and as bundlers do. @throws {Error} what is wrong */
export function checkTypes(folder) {
  cpSync(join(root, "scripts/packages/types.ts"), join(folder, "types.ts"));
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  for (const [module, resolution] of [
    ["NodeNext", "NodeNext"],
    ["ESNext", "Bundler"],
  ])
    run(
      folder,
      process.execPath,
      ...[compiler, "--noEmit", "--strict", "--target", "ES2022", "--module", module, "--moduleResolution", resolution],
      ...["--lib", "ES2023,ESNext.Disposable,DOM,DOM.Iterable", "--types", "node", "--ignoreConfig", "types.ts"],
    );
}

/** Builds the addon and the kernels there, as their own message says. @returns {string[]} what was said of each library */
export function build(folder) {
  return run(folder, "npx", "iqvae", "setup").trim().split("\n");
}

/** The same where pnpm installed them. @returns {string[]} what was said of each library */
export function buildByPnpm(folder, pnpm) {
  return run(folder, process.execPath, pnpm, "exec", "iqvae", "setup").trim().split("\n");
}
