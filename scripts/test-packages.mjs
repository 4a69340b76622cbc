import { strictEqual } from "node:assert";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { add, build, checkTypes, install, nodeOf, use } from "./installed.mjs";
import { CODE, packAll } from "./pack.mjs";
import { prebuild } from "./prebuild.mjs";
import { step } from "./step.mjs";

/*
 * `npm run test:packages`: the packages as tarballs, installed in an empty folder and used there with each version of Node.js that is
 * supported, without libtorch and data sets, then with the data sets and with prebuilt libraries, then with libraries that are built there. It takes minutes, and needs the network and, for the last step, libtorch and a
 * compiler; `--no-native` leaves that out.
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
  const drawn = new Set();
  const check = (node, computes) => {
    const used = use(folder, node);
    drawn.add(used.drawn);
    strictEqual(used.sample, "PNG");
    strictEqual(used.served.png, "PNG");
    strictEqual(used.served.code, 0);
    strictEqual(used.served.title !== undefined, true, "the page has no title");
    if (computes) strictEqual(String(used.computed), "4,6");
    else strictEqual(String(used.computed).endsWith("run `npx @iqvae/torch`"), true, String(used.computed));
    strictEqual(
      used.scenes.includes(computes ? "18 pairs for training" : "npm install @iqvae/data"),
      true,
      used.scenes,
    );
    strictEqual(drawn.size, 1, "another version of Node.js draws another picture");
    return `Node.js ${used.node}${computes ? `, computes ${used.computed}` : ""}`;
  };
  const nodes = [];
  for (const version of VERSIONS)
    await step(`node ${version}`, () => {
      nodes.push(nodeOf(version, join(work, `node-${version}`)));
      return check(nodes.at(-1), false);
    });
  if (!process.argv.includes("--no-native")) {
    await step("data sets", () => add(folder, tarballs.data));
    const prebuilt = await prebuild(join(work, "prebuilt"));
    await step("prebuilt", () => add(folder, prebuilt));
    for (const node of nodes) await step("with libtorch", () => check(node, true));
    await step("npx @iqvae/torch", () => build(folder).trim().split("\n").length.toString().concat(" libraries"));
    for (const node of nodes) await step("with libtorch", () => check(node, true));
  }
} catch (error) {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
