import { describe, expect, test } from "vitest";
import { sketchedLines } from "../../../src/data/by-hand/sketched-lines.ts";
import { type Random, seededRandom } from "../../../src/support/random.ts";

const SIZE = 64;
const SEEDS = [...Array(24).keys()];
/** A hand in the middle of all that it could do: it strays nowhere, misses nothing, and leaves nothing out. */
const steady = () => 0.5;

/** Ink where it is asked for. */
function drawn(isInk: (x: number, y: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: SIZE * SIZE }, (_, i) => Number(isInk(i % SIZE, Math.floor(i / SIZE))));
}

const inkOf = (lines: Uint8Array) => [...lines.keys()].filter((pixel) => lines[pixel]);
const sketches = (lines: Uint8Array) => SEEDS.map((seed) => sketchedLines(lines, SIZE, seededRandom("test", seed)));
/** How far apart two pixels are, across or down, whichever is more. */
const apart = (one: number, other: number) =>
  Math.max(Math.abs((one % SIZE) - (other % SIZE)), Math.abs(Math.floor(one / SIZE) - Math.floor(other / SIZE)));
/** A hand of these numbers, one after the other; then of the last. */
function hand(...numbers: readonly number[]): Random {
  let asked = 0;
  return () => numbers[Math.min(asked++, numbers.length - 1)]!;
}

const along = drawn((x, y) => y === 30 && x >= 8 && x < 56);
const dot = drawn((x, y) => x >= 20 && x < 24 && y === 10);
const cross = drawn((x, y) => (x === 32 && y > 4 && y < 60) || (y === 32 && x > 4 && x < 60));

describe("sketchedLines", () => {
  test("a steady hand draws a line as it is, and a broad one by its middle", () => {
    expect(sketchedLines(along, SIZE, steady)).toEqual(along);
    expect(sketchedLines(cross, SIZE, steady)).toEqual(cross);
    const speck = drawn((x, y) => x === 20 && y === 10);
    expect(sketchedLines(speck, SIZE, steady)).toEqual(speck);
    const bar = drawn((x, y) => y >= 29 && y <= 31 && x >= 8 && x < 56);
    expect([...new Set(inkOf(sketchedLines(bar, SIZE, steady)).map((pixel) => Math.floor(pixel / SIZE)))]).toEqual([
      30,
    ]);
  });

  test.each([
    ["level", along],
    ["falling", drawn((x, y) => y === x && x >= 8 && x < 56)],
    ["rising", drawn((x, y) => y === 63 - x && x >= 8 && x < 56)],
  ])("a %s line stays in one piece, within four pixels of its place, and wavers", (_, line) => {
    const places = inkOf(line);
    let furthest = 0;
    for (const sketch of sketches(line)) {
      const ink = inkOf(sketch);
      if (ink.length === 0) continue;
      // Two from straying, one from missing, one for a broad brush: what is between pixels is rounded.
      for (const pixel of ink) furthest = Math.max(furthest, Math.min(...places.map((place) => apart(place, pixel))));
      const reached = new Set([ink[0]!]);
      for (const at of reached) for (const pixel of ink) if (apart(at, pixel) === 1) reached.add(pixel);
      expect(reached.size).toBe(ink.length);
      expect(ink.length).toBeGreaterThan(40);
    }
    expect(furthest).toBeGreaterThan(1);
    expect(furthest).toBeLessThanOrEqual(4);
  });

  test("a hand strays by two waves of a pixel each across and two down, up to three of them in a sketch", () => {
    const [still, most] = [[0.5, 0.5, 0.5, 0.5], 1 - 2 ** -40];
    const highest = [0.5, 0.5, 0.625, most];
    const waves = (...four: number[][]) => sketchedLines(along, SIZE, hand(0.5, 0.5, 0.5, ...four.flat(), 0.5));
    expect(waves(highest, highest, still, still)).toEqual(drawn((x, y) => y === 30 && x >= 10 && x < 58));
    expect(waves(still, still, highest, highest)).toEqual(drawn((x, y) => y === 32 && x >= 8 && x < 56));
    const wavering = waves(still, still, [most, 0.5, 0.5, most], still);
    for (let x = 8; x < 56; x++) {
      const y = 30 + Math.round(Math.sin((2 * Math.PI * 3 * x) / SIZE));
      expect([x, wavering[y * SIZE + x]]).toEqual([x, 1]);
    }
  });

  test("short strokes are left out more often than long ones", () => {
    // One number decides about the only stroke: the first.
    const isLeftOut = (lines: Uint8Array, number: number) => !sketchedLines(lines, SIZE, hand(number, 0.5)).includes(1);
    expect([0.03, 0.05, 0.14, 0.16].map((number) => isLeftOut(along, number))).toEqual([true, false, false, false]);
    expect([0.03, 0.05, 0.14, 0.16].map((number) => isLeftOut(dot, number))).toEqual([true, true, true, false]);
  });

  test("a stroke misses its place by a pixel at most", () => {
    const moved = (right: number, down: number) => sketchedLines(along, SIZE, hand(0.5, right, down, 0.5));
    expect(moved(0, 0.5)).toEqual(drawn((x, y) => y === 30 && x >= 7 && x < 55));
    expect(moved(0.5, 0.999)).toEqual(drawn((x, y) => y === 31 && x >= 8 && x < 56));
  });

  test("a fifth of the sketches is drawn with a brush of two pixels", () => {
    // Leaving out, right, down, and four waves of four numbers each come before.
    const broad = (number: number) => sketchedLines(along, SIZE, hand(...Array(19).fill(0.5), number));
    expect(broad(0.2)).toEqual(along);
    expect(broad(0.19)).toEqual(drawn((x, y) => (y === 30 || y === 31) && x >= 8 && x < 57));
  });

  test("strokes that meet go their own ways, and what meets is drawn whatever they do", () => {
    // The first stroke is the one from above, down to the four pixels around the middle, which are of all.
    const without = sketchedLines(cross, SIZE, hand(0, 0.5));
    expect(without).toEqual(drawn((x, y) => cross[y * SIZE + x] === 1 && y >= 31));
    const beside = sketchedLines(cross, SIZE, hand(0.5, 0, 0.5));
    expect(inkOf(beside).filter((pixel) => cross[pixel] === 0)).toEqual(
      inkOf(drawn((x, y) => x === 31 && y > 4 && y < 32)),
    );
    const tee = drawn((x, y) => cross[y * SIZE + x] === 1 && y >= 32);
    expect(inkOf(sketchedLines(tee, SIZE, hand(0, 0.5))).length).toBeGreaterThan(40);
    const none = sketchedLines(cross, SIZE, hand(0, 0.5, 0.5, 0, 0.5, 0.5, 0, 0.5, 0.5, 0, 0.5));
    expect(inkOf(none).length).toBeGreaterThan(0);
    expect(Math.max(...inkOf(none).map((pixel) => apart(pixel, 32 * SIZE + 32)))).toBeLessThanOrEqual(1);
  });

  test("nothing is drawn beyond the sides, nothing on empty paper, and the lines that came are left as they were", () => {
    const frame = drawn((x, y) => x === 0 || y === 0 || x === SIZE - 1 || y === SIZE - 1);
    const before = frame.slice();
    for (const sketch of sketches(frame)) {
      expect(sketch.length).toBe(SIZE * SIZE);
      expect(sketch.every((value) => value <= 1)).toBe(true);
    }
    expect(frame).toEqual(before);
    const beyond = (side: number, right: number) =>
      sketchedLines(
        drawn((x) => x === side),
        SIZE,
        hand(0.5, right, 0.5),
      ).includes(1);
    expect([beyond(0, 0), beyond(SIZE - 1, 1 - 2 ** -40)]).toEqual([false, false]);
    expect(sketchedLines(new Uint8Array(SIZE * SIZE), SIZE, steady).includes(1)).toBe(false);
  });
});
