import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, posix, sep } from "node:path";
import { fileURLToPath } from "node:url";

/*
 * The pages of the site, made from the documents of the repository: each keeps its words, and its links are turned to where their
 * targets lie on the site. What is linked but is not a page (a script, a license) is copied below files/.
 */

export const root = fileURLToPath(new URL("..", import.meta.url));

/** The sections of the sidebar: documents in the repository, and where they lie on the site. */
export const SECTIONS = [
  { title: "Tutorial", documents: { "README.md": "index.md", "docs/tutorial.md": "tutorial.md" } },
  {
    title: "How-to guides",
    documents: {
      "docs/how-to.md": "how-to.md",
      "docs/studio.md": "studio.md",
      "docs/serve.md": "serve.md",
      "docs/export.md": "export.md",
      "docs/scale.md": "scale.md",
    },
  },
  {
    title: "Reference",
    documents: {
      "docs/data.md": "data.md",
      "docs/metrics.md": "metrics.md",
      "docs/torch.md": "torch.md",
      "packages/runtime/README.md": "runtime.md",
      "CHANGELOG.md": "changelog.md",
      "THIRD_PARTY.md": "third-party.md",
    },
  },
  {
    title: "Models",
    documents: {
      "docs/models.md": "models.md",
      ...Object.fromEntries(
        readdirSync(join(root, "models"))
          .filter((name) => existsSync(join(root, "models", name, "README.md")))
          .map((name) => [`models/${name}/README.md`, `models/${name}.md`]),
      ),
    },
  },
  {
    title: "Explanation",
    documents: {
      "docs/method.md": "method.md",
      "docs/results.md": "results.md",
      "docs/experiments.md": "experiments.md",
      "docs/performance.md": "performance.md",
      "docs/architecture.md": "architecture.md",
      "RELEASING.md": "releasing.md",
      "bench/README.md": "bench.md",
    },
  },
  {
    title: "Data of the measurements",
    documents: Object.fromEntries(
      readdirSync(join(root, "docs/data"))
        .filter((name) => name.endsWith(".md"))
        .map((name) => [`docs/data/${name}`, `data/${name}`]),
    ),
  },
].map(({ title, documents }) => ({
  title,
  // A page that others are still writing may not be there.
  documents: Object.fromEntries(Object.entries(documents).filter(([path]) => existsSync(join(root, path)))),
}));

/** Markdown without its code, in which brackets mean other things; as long as before. */
const withoutCode = (text) =>
  text
    .replace(/^(```+)[\s\S]*?^\1\s*$/gm, (code) => code.replace(/[^\n]/g, " "))
    .replace(/`[^`\n]*`/g, (code) => " ".repeat(code.length));

/** `{ target, at, picture }` of each link and picture of a Markdown text. */
export function linksOf(text) {
  return [...withoutCode(text).matchAll(/(!?)\[[^\]]*\]\(\s*<?([^()\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)].map((match) => ({
    target: match[2],
    at: match.index + match[0].lastIndexOf(match[2]),
    picture: match[1] === "!",
  }));
}

/** The anchor of a heading, as GitHub and the site make it. */
export const slug = (heading) =>
  heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[`*]/g, "")
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");

/** The anchors of a Markdown text. */
export function anchorsOf(text) {
  const blank = text.replace(/^(```+)[\s\S]*?^\1\s*$/gm, "");
  return new Set([...blank.matchAll(/^#+ +(.+)$/gm)].map(([, heading]) => slug(heading)));
}

/** Whether a link stays within the repository. */
export const isLocal = (target) => !/^[a-z]+:|^\/\//i.test(target);

/**
 * @returns `pages`: the text of each page by its place on the site; `files`: where each other file comes from
 * @throws Error that names every link whose target is not there
 */
export function makePages() {
  const places = new Map(SECTIONS.flatMap(({ documents }) => Object.entries(documents)));
  const texts = new Map([...places.keys()].map((path) => [path, readFileSync(join(root, path), "utf8")]));
  const [pages, files, dead] = [new Map(), new Map(), []];
  for (const [path, place] of places) {
    const text = texts.get(path);
    let [page, end] = ["", 0];
    for (const { target, at, picture } of linksOf(text)) {
      page += text.slice(end, at);
      end = at + target.length;
      page += isLocal(target) ? relink(path, place, { target, picture }) : target;
    }
    pages.set(place, `${page}${text.slice(end)}`);
  }
  if (dead.length > 0) throw new Error(`Links that lead nowhere:\n${dead.join("\n")}`);
  return { pages, files };

  function relink(path, place, { target, picture }) {
    const [name, anchor] = target.split("#");
    const full = name === "" ? path : posix.normalize(posix.join(posix.dirname(path), name));
    if (!existsSync(join(root, full))) {
      dead.push(`  ${path}: ${target}`);
      return target;
    }
    if (anchor !== undefined && texts.has(full) && !anchorsOf(texts.get(full)).has(anchor))
      dead.push(`  ${path}: ${target}`);
    if (name === "") return target;
    const on = (to) => {
      const link = posix.relative(posix.dirname(place), to);
      return `${link.startsWith(".") ? link : `./${link}`}${anchor === undefined ? "" : `#${anchor}`}`;
    };
    if (places.has(full)) return on(places.get(full));
    if (statSync(join(root, full)).isDirectory()) return on(full === "models" ? "models.md" : "index.md");
    if (picture) {
      files.set(full, full);
      return on(full);
    }
    // The site takes a link without an ending for a page.
    const file = `files/${full}${posix.extname(full) === "" ? ".txt" : ""}`;
    files.set(`public/${file}`, full);
    return `/${file}`;
  }
}

/**
 * Dead links of a built site: every local `href` and `src` of its HTML must be a file in it, and an anchor an `id` there.
 *
 * @param base the path that the site is served below
 */
export function deadLinks(site, base = "/") {
  const dead = [];
  const pages = readdirSync(site, { recursive: true, encoding: "utf8" })
    .map((path) => path.split(sep).join("/"))
    .filter((path) => path.endsWith(".html") && !path.startsWith("paint/"));
  const texts = new Map(pages.map((page) => [page, readFileSync(join(site, page), "utf8")]));
  for (const [page, html] of texts) {
    for (const [, link] of html.matchAll(/\s(?:href|src)="([^"]+)"/g)) {
      if (!isLocal(link)) continue;
      const [path, anchor] = link.split("#");
      const name = decodeURI(path.split("?")[0]);
      const from = name.startsWith(base) ? name.slice(base.length) : posix.join(posix.dirname(page), name);
      const to = name === "" ? page : from;
      const found = [to, `${to}.html`, posix.join(to, "index.html")].find((each) => {
        const at = join(site, each);
        return existsSync(at) && statSync(at).isFile();
      });
      const target = texts.get(found);
      // typedoc writes its own anchors a little differently; such a link still leads to the page.
      const missing =
        !page.startsWith("api/") &&
        anchor &&
        target !== undefined &&
        !target.includes(`id="${decodeURIComponent(anchor)}"`);
      if (found === undefined || missing) dead.push(`${page}: ${link}`);
    }
  }
  return { pages: pages.length, dead };
}
