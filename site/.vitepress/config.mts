import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitepress";
import { root, SECTIONS, slug } from "../pages.mjs";

const built = join(root, "build/site");
const base = process.env.SITE_BASE ?? "/";
const link = (place: string) => `/${place.replace(/(^|\/)index\.md$/, "$1").replace(/\.md$/, "")}`;
const title = (path: string) =>
  /^# (.+)$/m.exec(readFileSync(join(root, path), "utf8"))?.[1]?.replace(/`/g, "") ?? path;

/** The pages that typedoc wrote. */
const api = JSON.parse(readFileSync(join(built, "pages/api/typedoc-sidebar.json"), "utf8"));

export default defineConfig({
  title: "iqvae",
  description: "Paint a map and get many different pictures of it: image generators trained and run in TypeScript",
  base,
  srcDir: join(built, "pages"),
  // The studio brings cards of models, which are files there.
  srcExclude: ["public/**"],
  outDir: join(built, "site"),
  cacheDir: join(built, "cache"),
  markdown: {
    // Anchors as GitHub makes them, for which the links are written.
    anchor: { slugify: slug },
    // Only fenced code has a box that scrolls: long commands in indented blocks would widen the page.
    config: ({ renderer }) => {
      renderer.rules.code_block = renderer.rules.fence;
    },
  },
  // Files that are not pages; the last step of `npm run site` checks that they exist.
  ignoreDeadLinks: [/^\/files\//],
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Tutorial", link: "/tutorial" },
      { text: "How-to", link: "/how-to" },
      { text: "Models", link: "/models" },
      { text: "API", link: "/api/" },
      {
        text: "Studio",
        link: existsSync(join(built, "pages/public/paint")) ? "/paint/index.html" : "/studio",
        target: "_self",
      },
    ],
    sidebar: [
      ...SECTIONS.map(({ title: text, documents }) => ({
        text,
        collapsed: text.startsWith("Data"),
        items: Object.entries(documents).map(([path, place]) => ({ text: title(path), link: link(place) })),
      })),
      { text: "API reference", collapsed: true, items: api },
    ],
  },
});
