import { crestEdges } from "@iqvae/runtime";
import type { Tensor } from "@iqvae/torch";
import { expect, test } from "vitest";
import type { Hed } from "../../src/features/hed.ts";
import { hedEdges } from "../../src/features/hed-edges.ts";

const SIZE = 32;

/** A map with a crest of this height where `distance` is zero, some pixels wide. */
const crest = (height: number, distance: (x: number, y: number) => number) =>
  Float32Array.from({ length: SIZE * SIZE }, (_, i) => {
    const apart = distance(i % SIZE, Math.floor(i / SIZE));
    return height * Math.exp(-(apart ** 2) / 8);
  });

/** The pixels that are edges, away from the border, as `[x, y]`. */
const found = (edges: Uint8Array) =>
  [...edges.keys()]
    .filter((i) => edges[i] === 1)
    .map((i) => [i % SIZE, Math.floor(i / SIZE)] as const)
    .filter(([x, y]) => Math.min(x, y) >= 3 && Math.max(x, y) < SIZE - 3);

test.each<[string, (x: number, y: number) => number]>([
  ["upright", (x) => x - 12],
  ["level", (_, y) => y - 20],
  ["slanting down", (x, y) => (x - y) / Math.SQRT2],
  ["slanting up", (x, y) => (x + y - 31) / Math.SQRT2],
  ["a circle", (x, y) => Math.hypot(x - 15.7, y - 15.7) - 9.3],
])("the crest of a wide line becomes a thin one: %s", (_, distance) => {
  const pixels = found(crestEdges(crest(0.9, distance), SIZE));
  expect(pixels.length).toBeGreaterThanOrEqual(SIZE - 6);
  for (const [x, y] of pixels) expect(Math.abs(distance(x, y)), `${x}, ${y}`).toBeLessThan(0.9);
  // Of each row and column a line crosses once or twice, or runs along it.
  expect(pixels.length).toBeLessThan(2 * SIZE + 16);
});

test("a faint crest counts only where it goes on from a strong one", () => {
  const strength = (upper: number) => crest(1, (x) => x - 12).map((value, i) => value * (i < SIZE * 16 ? upper : 0.3));
  expect(found(crestEdges(strength(0.3), SIZE))).toEqual([]);
  const connected = found(crestEdges(strength(0.8), SIZE));
  expect(connected.filter(([x]) => x === 12)).toHaveLength(SIZE - 6);
  expect(
    found(
      crestEdges(
        strength(0.8).map((value) => value / 2),
        SIZE,
      ),
    ),
  ).toEqual([]);
});

test("a small picture is looked at enlarged, and its edges are of its own size", () => {
  const sizes: number[][] = [];
  // Brightness stands in for likelihood.
  const edges = (planes: Tensor) => {
    sizes.push([...planes.shape]);
    return planes.mean([1]).add(1).div(2);
  };
  const hed = { edges } as unknown as Hed;
  const line = crest(1, (x) => x - 12);
  const image = Uint8Array.from({ length: 3 * line.length }, (_, i) => Math.round(255 * line[Math.floor(i / 3)]!));
  const thin = hedEdges(hed, image, SIZE);
  expect(sizes).toEqual([[1, 3, 256, 256]]);
  expect(new Set(found(thin).map(([x]) => x))).toEqual(new Set([12]));
  hedEdges(hed, new Uint8Array(3 * 300 ** 2), 300);
  expect(sizes[1]).toEqual([1, 3, 300, 300]);
});
