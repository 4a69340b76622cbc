import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { thinned } from "../../../src/data/by-hand/thinned.ts";

interface Pair {
  readonly ink: readonly string[];
  readonly thinned: readonly string[];
}

const pairs: Pair[] = JSON.parse(readFileSync(new URL("../../goldens/thinned.json", import.meta.url), "utf8"));
const bytes = (rows: readonly string[]) => Uint8Array.from(rows.join(""), (character) => Number(character === "#"));

test.each(pairs)("lines are thinned as OpenCV thins them, up to the sides of the drawing", (pair) => {
  const size = pair.ink.length;
  const result = thinned(bytes(pair.ink), size);
  const row = (_: unknown, y: number) =>
    Array.from(result.subarray(y * size, (y + 1) * size), (value) => (value ? "#" : ".")).join("");
  expect(Array.from({ length: size }, row)).toEqual(pair.thinned);
});
