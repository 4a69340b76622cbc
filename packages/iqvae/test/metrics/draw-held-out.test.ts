import { expect, test } from "vitest";
import type { PairSplit } from "../../src/data/index.ts";
import { type Drawer, drawHeldOut } from "../../src/metrics/draw-held-out.ts";
import { silent } from "../../src/support/progress.ts";

const SIZE = 32;
const SAMPLES = 4;
/** Of each pair its condition: more pairs than are drawn at once. */
const KINDS = [0, 0, 1, 0, 2, 1, 0, 3, 3, 0, 2, 4, 0, 5, 5, 1, 0, 6, 7, 0];

const validation: PairSplit = {
  length: KINDS.length,
  ids: KINDS.map((_, i) => `pair-${i}`),
  batch: (rows) => ({
    images: new Uint8Array(rows.length * 3 * SIZE ** 2),
    conditions: Uint8Array.from(Array.from(rows), (row) => KINDS[row]!),
  }),
};

/** Its images hold what decides a sample: condition, number and seed. */
const drawer: Drawer = {
  draw: (conditions, { samples = 1, firstSample = 0, seed = 0 }) =>
    conditions.map(([kind]) =>
      Array.from({ length: samples }, (_, n) =>
        new Uint8Array(3 * SIZE ** 2)
          .fill(kind!, 0, 1)
          .fill(firstSample + n, 1, 2)
          .fill(seed, 2, 3),
      ),
    ),
};

test("every image is a draw of its own, of equal conditions, too, and stands where its condition does", async () => {
  const shares: number[] = [];
  const progress = { ...silent, update: (done: number) => void shares.push(done) };
  const rows = KINDS.map((_, i) => i);
  const all = await drawHeldOut(drawer, { validation, size: SIZE }, rows, { samples: SAMPLES, seed: 9 }, progress);
  expect(all.count).toBe(KINDS.length * SAMPLES);
  const drawn = Array.from({ length: all.count }, (_, i) => [...all.pixels.subarray(3 * i * SIZE ** 2).slice(0, 3)]);
  expect(drawn).toEqual(
    KINDS.flatMap((kind, i) => {
      const before = KINDS.slice(0, i).filter((each) => each === kind).length;
      return Array.from({ length: SAMPLES }, (_, n) => [kind, before * SAMPLES + n, 9]);
    }),
  );
  expect(shares).toEqual(shares.toSorted((a, b) => a - b));
});
