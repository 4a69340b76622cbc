import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { importSchema } from "../../../src/data/import/requests.ts";
import { splitByHash } from "../../../src/data/import/source.ts";

const data = readFileSync("docs/data.md", "utf8");

test.each<[object, RegExp, string[]]>([
  [{ name: "folder", condition: "text" }, /`length` in bytes \((\d+)\)/, ["length"]],
  [{ name: "folder", condition: "layout", classes: ["a"] }, /`boxes` \((\d+)\)/, ["boxes"]],
  [
    { name: "folder", condition: "audio" },
    /`bands` \((\d+)\), `frames` of 20 ms \((\d+)\); `stretch`/,
    ["bands", "frames"],
  ],
  [{ name: "cub-200-2011" }, /up to `length` bytes \((\d+)\)/, ["length"]],
])("what %j leaves out is as docs/data.md says", (request, said, keys) => {
  const parsed = importSchema.parse({ path: "own", size: 64, ...request });
  const [, ...values] = said.exec(data)!;
  expect(parsed).toMatchObject(Object.fromEntries(keys.map((key, i) => [key, Number(values[i])])));
});

const hashOf = (id: string) => createHash("sha256").update(id).digest().readUInt32LE(0);
const heldOut = (ids: readonly string[]) => splitByHash(ids).flatMap(({ id, validation }) => (validation ? [id] : []));
const names = Array.from({ length: 20_000 }, (_, i) => `pair ${i}`);

test("one pair in ten is held out, by the hash of its name", () => {
  const found = heldOut(names);
  expect(found).toEqual(names.filter((id) => hashOf(id) % 10 === 0));
  expect(found.length / names.length).toBeCloseTo(0.1, 2);
});

test.each([
  ["none would be held out", (id: string) => hashOf(id) % 10 > 0, 1],
  ["none would be left to train on", (id: string) => hashOf(id) % 10 === 0, 4],
])("where %s, the pair with the lowest hash is", (_, chosen, count) => {
  const ids = names.filter(chosen).slice(0, 5);
  const [lowest] = ids.toSorted((a, b) => hashOf(a) - hashOf(b));
  const found = heldOut(ids);
  expect(found).toHaveLength(count);
  expect(found.includes(lowest!)).toBe(count === 1);
});
