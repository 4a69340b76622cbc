import { describe, expect, test } from "vitest";
import { paintedMap } from "../../../src/data/by-hand/painted-map.ts";
import { seededRandom } from "../../../src/support/random.ts";

const SIZE = 64;
const [ROUND, HOLE, SPECK] = [3, 7, 5];

/** A disc with a hole, and a speck that no brush fits into. */
const map = Uint8Array.from({ length: SIZE * SIZE }, (_, pixel) => {
  const [x, y] = [pixel % SIZE, Math.floor(pixel / SIZE)];
  if (x === 60 && (y === 30 || y === 31 || y === 32)) return SPECK;
  const far = Math.hypot(x - 30, y - 30);
  return far < 10 ? HOLE : far < 24 ? ROUND : 0;
});
const painted = (seed: number) => paintedMap(map, SIZE, seededRandom("test", seed));
const SEEDS = [...Array(12).keys()];

/** Whether a class of the map is no further from a pixel than so far. */
function isNear(value: number, pixel: number, far: number): boolean {
  const [x, y] = [pixel % SIZE, Math.floor(pixel / SIZE)];
  const reach = Math.floor(far);
  for (let v = Math.max(0, y - reach); v <= Math.min(SIZE - 1, y + reach); v++)
    for (let u = Math.max(0, x - reach); u <= Math.min(SIZE - 1, x + reach); u++)
      if (map[v * SIZE + u] === value && Math.hypot(u - x, v - y) <= far) return true;
  return false;
}

describe("paintedMap", () => {
  test("paints classes that are there, no further from them than a hand misses, and most of what they cover", () => {
    // The broadest brush has a radius of 6 pixels, 0.7 of it within the class, and misses by one pixel in each direction; dots have one of 2.
    const furthest = 0.3 * 6 + Math.SQRT2 + 1;
    let beside = 0;
    for (const seed of SEEDS) {
      const result = painted(seed);
      const wrong = [...result.keys()].filter((pixel) => result[pixel] !== map[pixel] && result[pixel] !== 0);
      expect(wrong.filter((pixel) => !isNear(result[pixel]!, pixel, furthest))).toEqual([]);
      beside += wrong.filter((pixel) => !isNear(result[pixel]!, pixel, 2)).length;
      const kept = result.filter((value, pixel) => value === map[pixel] && value === ROUND).length;
      expect(kept).toBeGreaterThan(0.8 * map.filter((value) => value === ROUND).length);
    }
    expect(beside).toBeGreaterThan(0);
  });

  test("small things are painted over large ones, and lie on them; the finest become dots, some of which are lost", () => {
    const specks = SEEDS.map((seed) => painted(seed).filter((value) => value === SPECK).length);
    expect(specks.filter((pixels) => pixels === 0).length).toBeGreaterThan(0);
    expect(specks.filter((pixels) => pixels > 3).length).toBeGreaterThan(SEEDS.length / 2);
    for (const seed of SEEDS) expect(painted(seed)[30 * SIZE + 30]).toBe(HOLE);
  });

  test("what fills the canvas up to its sides stays", () => {
    const full = new Uint8Array(SIZE * SIZE).fill(HOLE);
    const result = paintedMap(full, SIZE, () => 0.5); // which misses nothing
    expect(result).toEqual(full);
  });

  test("of two classes side by side, the smaller is painted over the larger", () => {
    const sides = Uint8Array.from(map, (_, i) => (i % SIZE < 40 ? ROUND : HOLE));
    const row = paintedMap(sides, SIZE, over(0.5, 0.5, 0.99)).subarray(30 * SIZE, 31 * SIZE);
    expect([row.lastIndexOf(ROUND), row.indexOf(HOLE)]).toEqual([37, 38]);
  });

  test("a hand misses by a pixel at most, in each direction, whatever it paints", () => {
    const square = Uint8Array.from(map, (_, i) => (isWithin(i % SIZE) && isWithin(Math.floor(i / SIZE)) ? HOLE : 0));
    for (const [value, beside] of [
      [0, -1],
      [0.5, 0],
      [0.999, 1],
    ] as const) {
      const left = paintedMap(square, SIZE, over(value, 0.5, 0));
      const below = paintedMap(square, SIZE, over(0.5, value, 0));
      // The finest brush hangs over by one.
      expect(left.indexOf(HOLE, 30 * SIZE)).toBe(30 * SIZE + 19 + beside);
      expect(Math.floor(below.indexOf(HOLE) / SIZE)).toBe(19 + beside);
    }
  });

  test("a slit that the broadest brush hangs over from both sides is painted over, and a wide one stays", () => {
    const slits = Uint8Array.from(map, (_, i) =>
      [20, 21].includes(i % SIZE) || (i % SIZE > 40 && i % SIZE < 50) ? 0 : HOLE,
    );
    const result = paintedMap(slits, SIZE, over(0.5, 0.5, 0.99));
    const row = result.subarray(30 * SIZE, 31 * SIZE);
    expect([...row].flatMap((value, x) => (value === 0 ? [x] : []))).toEqual([43, 44, 45, 46, 47]);
  });
});

/** These numbers, over and over: how far to miss, across and down, and which brush. */
function over(...numbers: readonly number[]): () => number {
  let asked = 0;
  return () => numbers[asked++ % numbers.length]!;
}

const isWithin = (at: number) => at >= 20 && at < 40;
