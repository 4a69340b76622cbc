import { strictEqual } from "node:assert";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  add,
  build,
  buildByPnpm,
  checkTypes,
  install,
  installByPnpm,
  nodeOf,
  pnpmOf,
  runReadmes,
  use,
} from "./installed.mjs";
import { CODE, packAll } from "./pack.mjs";
import { prebuild } from "./prebuild.mjs";
import { step } from "./step.mjs";

/*
 * `npm run test:packages`: the packages as tarballs, installed in an empty folder by npm and in another by pnpm, and used there with each
 * version of Node.js that is supported, the code of their READMEs too: without libtorch and data sets, then with the data sets and with
 * prebuilt libraries, then with libraries that are built there. It takes minutes, and needs the network and, for the last steps, libtorch
 * and a compiler; `--no-native` leaves those out.
 */

const VERSIONS = ["20", "22", "24"];
const work = mkdtempSync(join(tmpdir(), "iqvae-packages-"));
try {
  const folder = join(work, "empty");
  let tarballs;
  await step("pack", () => {
    tarballs = packAll(join(work, "tarballs"), []);
    install(folder, ...CODE.map((name) => tarballs[name]), "@types/node@20");
    return `${readdirSync(join(folder, "node_modules")).length} packages in an empty folder`;
  });
  await step("types", () => checkTypes(folder));
  const strict = join(work, "pnpm");
  let pnpm;
  await step("pnpm", () => {
    pnpm = pnpmOf(join(work, "of-pnpm"));
    const named = Object.fromEntries(CODE.map((name) => [name === "iqvae" ? name : `@iqvae/${name}`, tarballs[name]]));
    installByPnpm(strict, pnpm, named);
    return checkTypes(strict);
  });
  const drawn = new Set();
  const check = (node, computes, where = folder) => {
    const used = use(where, node);
    drawn.add(used.drawn);
    strictEqual(used.sample, "PNG");
    strictEqual(used.served.png, "PNG");
    strictEqual(used.served.code, 0);
    strictEqual(used.served.title !== undefined, true, "the page has no title");
    if (computes) strictEqual(String(used.computed), "4,6");
    else strictEqual(String(used.computed).endsWith("run `npx iqvae setup`"), true, String(used.computed));
    const paired = computes && where === folder; // where the data sets are
    strictEqual(used.scenes.includes(paired ? "18 pairs for training" : "npm install @iqvae/data"), true, used.scenes);
    const { iqvae, ...libraries } = runReadmes(where, node, computes);
    strictEqual(`${iqvae}, ${Object.values(libraries)}`, `1, 1,${computes ? 1 : 0}`, "blocks of code in the READMEs");
    strictEqual(drawn.size, 1, "another version of Node.js draws another picture");
    return `Node.js ${used.node}${computes ? `, computes ${used.computed}` : ""}`;
  };
  const nodes = [];
  for (const version of VERSIONS)
    await step(`node ${version}`, () => {
      nodes.push(nodeOf(version, join(work, `node-${version}`)));
      return check(nodes.at(-1), false);
    });
  for (const node of nodes) await step("by pnpm", () => check(node, false, strict));
  if (!process.argv.includes("--no-native")) {
    await step("data sets", () => add(folder, tarballs.data));
    const prebuilt = await prebuild(join(work, "prebuilt"));
    await step("prebuilt", () => add(folder, prebuilt));
    for (const node of nodes) await step("with libtorch", () => check(node, true));
    const both = ({ length }) => {
      strictEqual(length, 2, "libraries that were built");
      return "addon and kernels";
    };
    await step("npx iqvae setup", () => both(build(folder)));
    for (const node of nodes) await step("with libtorch", () => check(node, true));
    await step("by pnpm", () => both(buildByPnpm(strict, pnpm)));
    for (const node of nodes) await step("by pnpm", () => check(node, true, strict));
  }
} catch (error) {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
