import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { deadLinks, makePages } from "../site/pages.mjs";
import { packagesInstalled } from "./packages.mjs";
import { quietly, root, step } from "./step.mjs";

/*
 * `npm run site`: the documents and an API reference as a static site with search, in build/site/site. typedoc and VitePress have a
 * folder of packages of their own, `site/`, since typedoc needs a TypeScript that it knows. SITE_BASE is the path that it will be
 * served below (default: /). The studio is part of it where it has been built (`npm run studio`).
 */

const folder = join(root, "site");
const work = join(root, "build/site");
const pages = join(work, "pages");
const base = process.env.SITE_BASE ?? "/";
const tool = (path) => join(folder, "node_modules", path);

/** Writes the pages and what they link to. */
function writePages() {
  const made = makePages();
  for (const [place, text] of made.pages) write(place, text);
  for (const [place, from] of made.files) {
    mkdirSync(dirname(join(pages, place)), { recursive: true });
    cpSync(join(root, from), join(pages, place));
  }
  const studio = join(root, "apps/studio/dist");
  if (existsSync(join(studio, "index.html"))) cpSync(studio, join(pages, "public/paint"), { recursive: true });
  return `${made.pages.size} pages`;
}

function write(place, text) {
  mkdirSync(dirname(join(pages, place)), { recursive: true });
  writeFileSync(join(pages, place), text);
}

try {
  await step("packages", async () => {
    if (packagesInstalled(folder)) return;
    const advice = "npm needs the network here. Behind a proxy, set HTTPS_PROXY or npm's registry option.";
    await quietly("npm-ci-site", ["npm", "ci", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=warn"], {
      advice,
    });
  });
  rmSync(work, { recursive: true, force: true });
  await step("pages", writePages);
  await step("API reference", () =>
    quietly("typedoc", [
      process.execPath,
      tool("typedoc/bin/typedoc"),
      "--options",
      join(folder, "typedoc.json"),
      "--out",
      join(pages, "api"),
    ]),
  );
  await step("site", () =>
    quietly("vitepress", [process.execPath, tool("vitepress/bin/vitepress.js"), "build", folder]),
  );
  await step("links", () => {
    const { pages: count, dead } = deadLinks(join(work, "site"), base);
    if (dead.length > 0) throw new Error(`Links that lead nowhere:\n  ${dead.join("\n  ")}`);
    return `all of ${count} pages lead somewhere`;
  });
  console.log(`\nThe site is in ${join("build", "site", "site")}.`);
} catch (error) {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
