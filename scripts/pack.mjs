import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "./step.mjs";

/*
 * Packs the packages as they are published: compiles them, puts into a copy of each what lies elsewhere in the repository, and has npm make a
 * tarball of it, in build/packages or a folder that is named. Packages of prebuilt libraries, which scripts/prebuild.mjs makes, are put beside
 * them, and `@iqvae/torch` asks for them where they fit. Not by a script that npm runs by itself: .npmrc forbids those, ours and others'.
 */

/** In the order in which they depend on each other. */
export const PACKAGES = ["torch", "runtime", "data", "iqvae"];

/** Those that have code; the other one brings what data sets are made of. */
export const CODE = PACKAGES.filter((name) => name !== "data");

/** The model that the package has. */
const SHIPPED = "start";

/** Where scripts/prebuild.mjs puts what it makes. */
export const PREBUILT = join(root, "build", "prebuilt");

/** What packages do not bring along even to be left out by npm. */
const NOT_COPIED = ["build", "node_modules", "src", "test"];

/**
 * @param {string} [to] the folder for the tarballs
 * @param {readonly string[]} [prebuilt] tarballs of prebuilt libraries
 * @returns {Record<string, string>} the tarballs by the folders of their packages
 */
export function packAll(to = join(root, "build", "packages"), prebuilt = prebuiltTarballs()) {
  mkdirSync(to, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), "iqvae-pack-"));
  try {
    run({}, "node_modules/typescript/bin/tsc", "-b", ...CODE.map((name) => `packages/${name}`));
    const page = join(work, "page");
    const flags = ["--config", "apps/studio/vite.config.ts", "--outDir", page, "--emptyOutDir", "--logLevel", "error"];
    // Without models, which are not packed with it: to round them takes longer than all else.
    run({ STUDIO_MODELS: join(work, "no-models") }, "node_modules/vite/bin/vite.js", "build", ...flags);
    for (const tarball of prebuilt) cpSync(tarball, join(to, basename(tarball)));
    return Object.fromEntries(
      PACKAGES.map((name) => [name, pack(name, { folder: join(work, name), page, to: resolve(to), prebuilt })]),
    );
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Those of the present version. */
function prebuiltTarballs() {
  const { version } = manifestIn(join(root, "packages", "torch"));
  const names = existsSync(PREBUILT) ? readdirSync(PREBUILT) : [];
  return names.filter((name) => name.endsWith(`-${version}.tgz`)).map((name) => join(PREBUILT, name));
}

/**
 * A manifest that asks for packages of prebuilt libraries where they fit. That of the repository does not: npm would look for them at each
 * installation of it.
 * @param {{ version: string }} manifest
 * @param {readonly string[]} tarballs
 */
export function withPrebuilt(manifest, tarballs) {
  const ending = `-${manifest.version}.tgz`;
  const names = tarballs.map((tarball) => basename(tarball, ending).replace(/^iqvae-/, "@iqvae/"));
  return { ...manifest, optionalDependencies: Object.fromEntries(names.map((name) => [name, manifest.version])) };
}

function manifestIn(folder) {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

function pack(name, { folder, page, to, prebuilt }) {
  const source = join(root, "packages", name);
  for (const each of readdirSync(source).filter((each) => !NOT_COPIED.includes(each)))
    cpSync(join(source, each), join(folder, each), { recursive: true });
  cpSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  if (name === "torch" && prebuilt.length > 0)
    writeFileSync(
      join(folder, "package.json"),
      `${JSON.stringify(withPrebuilt(manifestIn(folder), prebuilt), null, 2)}\n`,
    );
  if (name === "iqvae") {
    cpSync(join(root, "THIRD_PARTY.md"), join(folder, "THIRD_PARTY.md"));
    // One model, or every installation would download 70 MB. The graphs are for other runtimes. All are in the repository.
    cpSync(join(root, "models", SHIPPED), join(folder, "models", SHIPPED), {
      recursive: true,
      filter: (path) => !path.endsWith(".onnx"),
    });
    // The models that the page was built with are those that are served.
    cpSync(page, join(folder, "page"), { recursive: true, filter: (path) => path !== join(page, "models") });
  }
  return npmPack(folder, to);
}

/** @returns {string} the tarball of a folder */
export function npmPack(folder, to) {
  const { status, stdout, stderr } = spawnSync("npm", ["pack", "--json", "--pack-destination", to], {
    cwd: folder,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`npm pack failed in ${folder}:\n${stderr}`);
  return join(to, JSON.parse(stdout)[0].filename);
}

/** What programs say goes to standard error. */
function run(variables, script, ...args) {
  const env = { ...process.env, ...variables };
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: root, env, stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error(`node ${script} ${args.join(" ")} failed`);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const tarball of [...Object.values(packAll(process.argv[2])), ...prebuiltTarballs()]) console.log(tarball);
