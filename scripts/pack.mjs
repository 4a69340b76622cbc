import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "./step.mjs";

/*
 * Packs the packages as they are published: compiles them, puts into a copy of each what lies elsewhere in the repository, and has npm make a
 * tarball of it, in build/packages or a folder that is named. Not by a script that npm runs by itself: .npmrc forbids those, ours and others'.
 */

/** In the order in which they depend on each other. */
export const PACKAGES = ["torch", "runtime", "iqvae"];

/** The model that the package has. */
const SHIPPED = "start";

/** What packages do not bring along even to be left out by npm. */
const NOT_COPIED = ["build", "node_modules", "src", "test"];

/**
 * @param {string} [to] the folder for the tarballs
 * @returns {Record<string, string>} the tarballs by the folders of their packages
 */
export function packAll(to = join(root, "build", "packages")) {
  mkdirSync(to, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), "iqvae-pack-"));
  try {
    run("node_modules/typescript/bin/tsc", "-b", ...PACKAGES.map((name) => `packages/${name}`));
    const page = join(work, "page");
    const flags = ["--config", "apps/studio/vite.config.ts", "--outDir", page, "--emptyOutDir", "--logLevel", "error"];
    run("node_modules/vite/bin/vite.js", "build", ...flags);
    return Object.fromEntries(PACKAGES.map((name) => [name, pack(name, join(work, name), page, resolve(to))]));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function pack(name, folder, page, to) {
  const source = join(root, "packages", name);
  for (const each of readdirSync(source).filter((each) => !NOT_COPIED.includes(each)))
    cpSync(join(source, each), join(folder, each), { recursive: true });
  cpSync(join(root, "LICENSE"), join(folder, "LICENSE"));
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
  const { status, stdout, stderr } = spawnSync("npm", ["pack", "--json", "--pack-destination", to], {
    cwd: folder,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`npm pack failed in ${folder}:\n${stderr}`);
  return join(to, JSON.parse(stdout)[0].filename);
}

/** What programs say goes to standard error. */
function run(script, ...args) {
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error(`node ${script} ${args.join(" ")} failed`);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const tarball of Object.values(packAll(process.argv[2]))) console.log(tarball);
