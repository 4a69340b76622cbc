import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { checkNode } from "./node-version.mjs";
import { quietly, root, step } from "./step.mjs";

/*
 * Builds the page with the models of the box, and serves it until Ctrl-C. It needs npm packages only, and of these only those that the
 * page is made of: no compiler, no libtorch. PORT chooses the port.
 */

const workspace = "apps/studio";
const read = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));

/** Whether what the page is made of is there, in the versions of the lock file. */
function installed() {
  const { packages } = read("package-lock.json");
  return Object.keys(packages[workspace].dependencies).every((name) => {
    const at = `node_modules/${name}`;
    if (!existsSync(join(root, at, "package.json"))) return false;
    return packages[at].link || read(`${at}/package.json`).version === packages[at].version;
  });
}

async function studio() {
  checkNode(process.versions.node);
  await step("npm packages", async () => {
    if (installed()) return;
    const advice = "npm needs the network here. Behind a proxy, set HTTPS_PROXY or npm's registry option.";
    const flags = ["--workspace", workspace, "--omit=dev", "--no-audit", "--no-fund", "--loglevel=warn"];
    await quietly("npm-ci-studio", ["npm", "ci", ...flags], { advice });
  });
  const { build, preview } = await import("vite");
  const configFile = join(root, workspace, "vite.config.ts");
  await step("page", () => build({ configFile, logLevel: "error" }).then(() => undefined));
  const port = process.env.PORT ? { port: Number(process.env.PORT) } : {};
  const server = await preview({ configFile, logLevel: "error", preview: { ...port, open: process.stdout.isTTY } });
  console.log(`\nThe studio is at ${server.resolvedUrls.local[0]}\nCtrl-C ends it.`);
}

studio().catch((error) => {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
});
