import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const source = fileURLToPath(new URL("../src", import.meta.url));
const architecture = readFileSync(new URL("../../../docs/architecture.md", import.meta.url), "utf8");

/** The table of docs/architecture.md: each folder, and the folders that it may import from. */
const allowed = new Map(
  [...architecture.matchAll(/^\| `(\w+)` \| ([\w ]*) \| [^|]+ \| [^|]*\|$/gm)].map(([, folder, imports]) => [
    folder!,
    imports!.split(" ").filter(Boolean),
  ]),
);

const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
const folderOf = (path: string) => (path.includes(sep) ? path.split(sep)[0]! : "");

/** `folder → folder` of every import from one folder to another, with the files that have it. */
function edges(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const file of files.filter((path) => folderOf(path) !== "")) {
    const text = readFileSync(join(source, file), "utf8");
    for (const [, path] of text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
      const target = relative(source, resolve(source, dirname(file), path!));
      const edge = `${folderOf(file)} → ${folderOf(target)}`;
      if (folderOf(file) !== folderOf(target)) found.set(edge, [...(found.get(edge) ?? []), file]);
    }
  }
  return found;
}

test("the table has every folder, each below those that it imports from", () => {
  const folders = new Set(files.map(folderOf).filter((folder) => folder !== ""));
  expect([...allowed.keys()].sort()).toEqual([...folders].sort());
  const order = [...allowed.keys()];
  for (const [folder, imports] of allowed) {
    const above = order.slice(0, order.indexOf(folder));
    expect(
      imports.filter((other) => !above.includes(other)),
      folder,
    ).toEqual([]);
  }
});

test("folders import what the table allows, and use what it allows", () => {
  const found = edges();
  const table = [...allowed].flatMap(([folder, imports]) => imports.map((other) => `${folder} → ${other}`));
  const unexpected = [...found].filter(([edge]) => !table.includes(edge)).map(([edge, by]) => `${edge} (${by})`);
  expect(unexpected, "imports that docs/architecture.md does not have").toEqual([]);
  expect(
    table.filter((edge) => !found.has(edge)),
    "edges of docs/architecture.md that nothing uses",
  ).toEqual([]);
});

test("files that docs/method.md names exist", () => {
  const method = readFileSync(new URL("../../../docs/method.md", import.meta.url), "utf8");
  const named = [...method.matchAll(/`([\w-]+\/[\w/-]+\.ts)`/g)].map(([, path]) => path!.split("/").join(sep));
  expect(named.length).toBeGreaterThan(8);
  expect(named.filter((path) => !files.includes(path))).toEqual([]);
});

test("sharp is met in media alone", () => {
  const users = files.filter((file) => /from "sharp"/.test(readFileSync(join(source, file), "utf8")));
  expect(users.filter((file) => folderOf(file) !== "media")).toEqual([]);
  expect(users.length).toBeGreaterThan(0);
});
