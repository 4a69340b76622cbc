import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const source = fileURLToPath(new URL("../src", import.meta.url));
const text = readFileSync(new URL("../../../docs/studio.md", import.meta.url), "utf8");

/** The table of docs/studio.md: each folder of `src`, and those that it imports from. */
const table = [...text.matchAll(/^\| `(\w+)` \| ([\w ]*) \| [^|]+ \|$/gm)].map(
  ([, folder, imports]) => [folder!, imports!.split(" ").filter(Boolean)] as const,
);

const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
const folderOf = (path: string) => (path.includes(sep) ? path.split(sep)[0]! : "");

test("folders import what the table of docs/studio.md says, and only from those above", () => {
  const found = new Map<string, Set<string>>();
  for (const file of files) {
    const folder = folderOf(file);
    if (folder === "") continue;
    const targets = found.get(folder) ?? new Set();
    found.set(folder, targets);
    for (const [, path] of readFileSync(join(source, file), "utf8").matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
      const target = folderOf(relative(source, resolve(source, dirname(file), path!)));
      if (target !== "" && target !== folder && target !== "..") targets.add(target);
    }
  }
  expect(Object.fromEntries([...found].map(([folder, targets]) => [folder, [...targets].sort()]))).toEqual(
    Object.fromEntries(table.map(([folder, imports]) => [folder, [...imports].sort()])),
  );
  const order = table.map(([folder]) => folder);
  for (const [folder, imports] of table)
    expect(
      imports.every((other) => order.indexOf(other) < order.indexOf(folder)),
      folder,
    ).toBe(true);
});
