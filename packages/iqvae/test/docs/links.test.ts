import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { anchorsOf, deadLinks, isLocal, linksOf, makePages, SECTIONS } from "../../../../site/pages.mjs";
import { DOCUMENTS, filesOfRepository, read, root } from "./documents.ts";

const markdown = filesOfRepository().filter((path) => path.endsWith(".md"));

it("every link of every document leads to a file, and its anchor to a heading", () => {
  const dead = markdown.flatMap((path) =>
    linksOf(read(path))
      .filter(({ target }) => isLocal(target))
      .filter(({ target }) => {
        const [name = "", anchor] = target.split("#");
        const file = name === "" ? path : join(dirname(path), name);
        if (!existsSync(join(root, file))) return true;
        return anchor !== undefined && !anchorsOf(read(file)).has(anchor);
      })
      .map(({ target }) => `${path}: ${target}`),
  );
  expect(dead).toEqual([]);
});

it("every picture and example of the documents is shown or linked in one", () => {
  const shown = new Set(
    markdown.flatMap((path) => linksOf(read(path)).map(({ target }) => join(dirname(path), target.split("#")[0]!))),
  );
  const files = filesOfRepository("docs").filter((path) => /^docs\/(?:images|examples)\//.test(path));
  expect(files.length).toBeGreaterThan(10);
  expect(files.filter((path) => !shown.has(path))).toEqual([]);
});

it("the site has every document, and its pages link to each other and to files that it has", () => {
  const documents = SECTIONS.flatMap((section) => Object.keys(section.documents));
  const docs = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
  expect(docs.map((name) => `docs/${name}`).filter((path) => !documents.includes(path))).toEqual([]);
  const { pages, files } = makePages();
  for (const [place, text] of pages) {
    const lost = linksOf(text)
      .map(({ target }) => target.split("#")[0]!)
      .filter((target) => target !== "" && isLocal(target))
      .filter((target) => {
        const at = target.startsWith("/") ? join("public", target) : join(dirname(place), target);
        return !pages.has(at) && !files.has(at);
      });
    expect(lost, place).toEqual([]);
  }
  for (const from of files.values()) expect(existsSync(join(root, from)), from).toBe(true);
  // To anchors, pages of folders, pictures, and what is no page: the site takes a link without an ending for one.
  const targets = linksOf(pages.get("index.md")!).map(({ target }) => target);
  const some = [
    "./tutorial.md#draw-from-your-own-map",
    "./models.md",
    "./docs/images/models.png",
    "/files/LICENSE.txt",
  ];
  expect(targets).toEqual(expect.arrayContaining(some));
  expect(linksOf(pages.get("models.md")!)[0]?.target).toBe("./models.md");
});

it("anchors are made as GitHub makes them", () => {
  const text =
    "# `sliced` [S; L Vayer et al. 2019]\n## a_b and [c](d.md)\n## What a CPU wants, from libtorch?\n```sh\n# a comment\n```\n";
  expect([...anchorsOf(text)]).toEqual(["sliced-s-l-vayer-et-al-2019", "a_b-and-c", "what-a-cpu-wants-from-libtorch"]);
  expect(linksOf("a [b](c.md#d) `[x](y)` ![p](q.png)\n")).toEqual([
    { target: "c.md#d", at: 6, picture: false },
    { target: "q.png", at: 28, picture: true },
  ]);
});

it("README stays short, and so do all documents that people read together", () => {
  // As `wc -w README.md docs/*.md` counts; what lies in docs/data is figures.
  const words = (path: string) => read(path).split(/\s+/).filter(Boolean).length;
  expect(words("README.md")).toBeLessThanOrEqual(900);
  const counts = DOCUMENTS.filter((path) => /^(README|docs\/[^/]+)\.md$/.test(path)).map(
    (path) => [path, words(path)] as const,
  );
  expect(counts.length).toBeGreaterThan(12);
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  expect(total, counts.map(([path, count]) => `${path} ${count}`).join(", ")).toBeLessThanOrEqual(20_000);
});

it("dead links of a built site are found", () => {
  const site = mkdtempSync(join(tmpdir(), "iqvae-site-"));
  try {
    writeFileSync(
      join(site, "a.html"),
      '<h2 id="here">A</h2><a href="/base/b.html#there">1</a><a href="./c/../a#here">2</a>',
    );
    writeFileSync(
      join(site, "b.html"),
      '<img src="/base/lost.png"><a href="/base/a.html#gone">3</a><a href="https://x.org/y">4</a>',
    );
    expect(deadLinks(site, "/base/")).toEqual({
      pages: 2,
      dead: ["a.html: /base/b.html#there", "b.html: /base/lost.png", "b.html: /base/a.html#gone"],
    });
  } finally {
    rmSync(site, { recursive: true });
  }
});
