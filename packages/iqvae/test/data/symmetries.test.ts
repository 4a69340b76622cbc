import { describe, expect, it } from "vitest";
import type { PairSplit } from "../../src/data/index.ts";
import { inAllPositions, untransformed } from "../../src/data/symmetries.ts";

const SIZE = 4;
const PIXELS = SIZE * SIZE;

/** For each pair its hundred and the number of the byte. */
function numbered(indices: ArrayLike<number>, length: number): Uint8Array {
  return Uint8Array.from(
    { length: indices.length * length },
    (_, i) => 100 * indices[Math.floor(i / length)]! + (i % length),
  );
}

/** Two pairs, in which every pixel has a value of its own: that of the condition, times three and more in the image. */
const split: PairSplit = {
  length: 2,
  ids: ["a", "b"],
  batch: (indices) => ({
    images: numbered(indices, 3 * PIXELS),
    conditions: numbered(indices, PIXELS),
  }),
};

const turned = inAllPositions(split, SIZE);

function mapOf(index: number): number[][] {
  const { conditions } = turned.batch([index]);
  return Array.from({ length: SIZE }, (_, y) => [...conditions.subarray(y * SIZE, (y + 1) * SIZE)]);
}

describe("inAllPositions", () => {
  it("has each pair eight times, first as it is, each under a name of its own that tells of which", () => {
    expect(turned.length).toBe(16);
    expect(turned.ids.filter((_, i) => i % 8 === 0)).toEqual(["a", "b"]);
    expect(new Set(turned.ids).size).toBe(16);
    expect(turned.ids.map(untransformed)).toEqual([...Array(8).fill("a"), ...Array(8).fill("b")]);
    expect(turned.batch([0, 8])).toEqual(split.batch([0, 1]));
  });

  it("turns and mirrors: eight different maps, with the corners of a square", () => {
    const maps = Array.from({ length: 8 }, (_, s) => mapOf(s));
    const corners = maps.map((map) => [map[0]![0], map[0]![3], map[3]![3], map[3]![0]].join());
    // Around the square in both directions, from each of its corners.
    const around = [0, 3, 15, 12];
    const expected = [around, around.toReversed()].flatMap((way) =>
      way.map((_, i) => [...way.slice(i), ...way.slice(0, i)].join()),
    );
    expect([...corners].sort()).toEqual(expected.sort());
    for (const map of maps) expect([...map.flat()].sort((a, b) => a - b)).toEqual([...Array(PIXELS).keys()]);
    // Rows stay rows or become columns: neighbors stay neighbors.
    for (const map of maps) expect([1, 4]).toContain(Math.abs(map[0]![1]! - map[0]![0]!));
  });

  it("moves an image as its condition", () => {
    const all = [...Array(16).keys()];
    const { images, conditions } = turned.batch(all);
    conditions.forEach((value, at) => {
      const [pair, pixel] = [value >= 100 ? 1 : 0, value % 100];
      expect([...images.subarray(3 * at, 3 * at + 3)]).toEqual(
        [0, 1, 2].map((c) => (100 * pair + 3 * pixel + c) % 256),
      );
    });
  });

  it("names a number that it does not have", () => {
    expect(() => turned.batch([3, 16])).toThrow("from 0 to 15, got 16");
    expect(() => turned.batch([-1])).toThrow("got -1");
  });
});
