import { expect, test } from "vitest";
import type { PairSplit } from "../../src/data/index.ts";
import { inAllPositions, untransformed } from "../../src/data/symmetries.ts";
import { realImages } from "../../src/metrics/real-images.ts";

const SIZE = 32;
const facts = { picture: untransformed };

/** Pairs whose images are their numbers. */
function numbered(count: number): PairSplit {
  return {
    length: count,
    ids: Array.from({ length: count }, (_, i) => `place-${i}`),
    batch: (indices) => ({
      images: Uint8Array.from(Array.from(indices).flatMap((i) => Array(3 * SIZE ** 2).fill(i))),
      conditions: Uint8Array.from(Array.from(indices).flatMap((i) => Array(SIZE ** 2).fill(i))),
    }),
  };
}

test("further real images show nothing that the reference has, in whatever position", async () => {
  const train = inAllPositions(numbered(40), SIZE);
  const { reference, own, isOfConditions } = await realImages({ train, size: SIZE, facts }, ["a", "b"], 8, 3);
  expect(isOfConditions).toBe(false);
  const shown = (set: typeof own) => new Set(Array.from({ length: 16 }, (_, i) => set!.pixels[i * 3 * SIZE ** 2]!));
  expect([reference.count, own!.count]).toEqual([16, 16]);
  expect([...shown(own)].filter((place) => shown(reference).has(place))).toEqual([]);
});

test("where the reference leaves too few, there are none", async () => {
  const train = inAllPositions(numbered(3), SIZE);
  expect((await realImages({ train, size: SIZE, facts }, ["a"], 8, 3)).own).toBeUndefined();
});

test("pictures whose names look alike are further ones", async () => {
  const train = { ...numbered(16), ids: Array.from({ length: 16 }, (_, i) => `IMG~${i}`) };
  expect((await realImages({ train, size: SIZE }, ["a"], 8, 3)).own?.count).toBe(8);
});
