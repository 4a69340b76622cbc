import { expect, test } from "vitest";
import { withHandDrawn } from "../../../src/data/by-hand/hand-drawn.ts";
import { paintedMap } from "../../../src/data/by-hand/painted-map.ts";
import { sketchedLines } from "../../../src/data/by-hand/sketched-lines.ts";
import type { ConditionSpec, PairSplit } from "../../../src/data/index.ts";
import { seededRandom } from "../../../src/support/random.ts";

test("a share of the maps is painted, alike whenever a pair is asked for; images, names and the split's own maps stay", () => {
  const [pixels, pairs] = [32 * 32, [...Array(200).keys()]];
  // A checkered ground, of which any brush makes something else.
  const plain = Uint8Array.from({ length: pixels }, (_, i) => (i + Math.floor(i / 32)) % 2);
  const split: PairSplit = {
    length: pairs.length,
    ids: pairs.map(String),
    batch: (indices) => ({
      images: Uint8Array.from(indices),
      conditions: Uint8Array.from({ length: indices.length * pixels }, (_, i) => plain[i % pixels]!),
    }),
  };
  const condition: ConditionSpec = { kind: "semantic", classes: [] };
  const dataset = { key: "checkered", size: 32 as const, condition, train: split, validation: split };
  const mapsOf = (share: number, indices: number[]) => {
    const { conditions } = withHandDrawn(dataset, share).train.batch(indices);
    return indices.map((_, i) => Buffer.from(conditions.subarray(i * pixels, (i + 1) * pixels)));
  };
  const isPainted = (drawn: Buffer) => !drawn.equals(plain);
  const some = mapsOf(0.3, pairs);
  expect(mapsOf(0, pairs).filter(isPainted)).toHaveLength(0);
  expect(some.filter(isPainted).length).toBeGreaterThan(40);
  expect(some.filter(isPainted).length).toBeLessThan(80);
  expect(mapsOf(1, pairs).filter(isPainted)).toHaveLength(200);
  const [first, last] = [some.findIndex(isPainted), some.findLastIndex(isPainted)] as const;
  expect(mapsOf(0.3, [last, first])).toEqual([some[last], some[first]]);
  expect(some[first]).not.toEqual(some[last]);

  const kept = split.batch([0, 1]);
  const keeping: PairSplit = { ...split, batch: () => kept };
  const { train, validation, size } = withHandDrawn({ ...dataset, train: keeping }, 1);
  const { images, conditions } = train.batch([0, 1]);
  expect(images).toEqual(split.batch([0, 1]).images);
  expect(conditions).not.toEqual(kept.conditions);
  expect(kept).toEqual(split.batch([0, 1]));
  expect([train.length, train.ids, validation, size]).toEqual([split.length, split.ids, split, 32]);
  // Data sets of equal keys are equal.
  const keys = [0, 0.3, 0.5].map((share) => withHandDrawn(dataset, share).key);
  expect([keys[0], new Set(keys).size]).toEqual([dataset.key, 3]);
});

test.each([
  [{ kind: "semantic", classes: [] }, paintedMap],
  [{ kind: "lines" }, sketchedLines],
  [{ kind: "edges" }, sketchedLines],
] as const)("conditions %o are drawn as hands draw them, by the number of the pair", (condition, draw) => {
  const ring = Uint8Array.from({ length: 32 * 32 }, (_, i) =>
    Number(Math.round(Math.hypot((i % 32) - 15, Math.floor(i / 32) - 15)) === 9),
  );
  const train: PairSplit = {
    length: 8,
    ids: [],
    batch: (indices) => ({ images: new Uint8Array(0), conditions: Buffer.concat(Array.from(indices, () => ring)) }),
  };
  const { conditions } = withHandDrawn({ key: "rings", size: 32, condition, train }, 1).train.batch([5, 2]);
  for (const [i, pair] of [5, 2].entries()) {
    const random = seededRandom("painted", pair);
    random(); // which decides whether it is drawn
    const found = Array.from(conditions.subarray(i * 32 * 32, (i + 1) * 32 * 32));
    expect(found).toEqual(Array.from(draw(ring, 32, random)));
  }
});
