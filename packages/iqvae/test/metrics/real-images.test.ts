import { expect, test } from "vitest";
import type { PairSplit } from "../../src/data/index.ts";
import { inAllPositions, untransformed } from "../../src/data/symmetries.ts";
import { AttributesNetwork, attributesFeatures } from "../../src/features/attributes.ts";
import { Clock } from "../../src/metrics/clock.ts";
import { FeatureStore } from "../../src/metrics/feature-store.ts";
import { networkFigures } from "../../src/metrics/figures.ts";
import { meanDiversity } from "../../src/metrics/image-figures.ts";
import { imageSet } from "../../src/metrics/image-set.ts";
import { realImages } from "../../src/metrics/real-images.ts";
import { Truths } from "../../src/metrics/truths.ts";
import { silent } from "../../src/support/progress.ts";

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

test("they are chosen by the seed, and drawn anew by the seed and each condition", async () => {
  const train = numbered(40);
  const trueImages = async (_: string, count: number, size: number, random: () => number) =>
    new Uint8Array(count * 3 * size ** 2).fill(Math.floor(256 * random()));
  const shown = async (seed: number) => {
    const { reference, own } = await realImages({ train, size: SIZE, facts: { trueImages } }, ["a", "b"], 4, seed);
    return [reference, own!].map(({ pixels }) => [...pixels.filter((_, i) => i % (3 * SIZE ** 2) === 0)]);
  };
  const [first, again, other] = [await shown(3), await shown(3), await shown(4)];
  expect(again).toEqual(first);
  for (const set of [0, 1]) expect(other[set]).not.toEqual(first[set]);
  expect(new Set(first[1]).size).toBe(2);
});

test("where the reference leaves too few, there are none", async () => {
  const train = inAllPositions(numbered(3), SIZE);
  expect((await realImages({ train, size: SIZE, facts }, ["a"], 8, 3)).own).toBeUndefined();
});

test("pictures whose names look alike are further ones", async () => {
  const train = { ...numbered(16), ids: Array.from({ length: 16 }, (_, i) => `IMG~${i}`) };
  expect((await realImages({ train, size: SIZE }, ["a"], 8, 3)).own?.count).toBe(8);
});

test("the diversity of true images is that of the very conditions, or there is none", async () => {
  const train = numbered(40);
  const real = await realImages({ train, size: SIZE }, ["a", "b"], 4, 3);
  const drawn = imageSet(train.batch([1, 2, 3, 4, 5, 6, 7, 8]).images, SIZE);
  using truths = new Truths();
  const network = attributesFeatures(new AttributesNetwork([{ name: "tone", classes: 2 }], 7), "tones", "abc");
  const given = { samples: 4, drawn, clock: new Clock(silent), features: new FeatureStore(truths.features), truths };
  const diversityOf = async (isOfConditions: boolean) =>
    (await networkFigures({ ...given, real: { ...real, isOfConditions } } as never, [network])).find(
      ({ key }) => key === "diversity.tones",
    )!;
  expect(await diversityOf(false)).toMatchObject({ value: expect.any(Number), real: null });
  expect(await diversityOf(true)).toMatchObject({ real: expect.any(Number) });
});

test("diversity is that of the images of each condition, in the mean", () => {
  const network = attributesFeatures(new AttributesNetwork([{ name: "tone", classes: 2 }], 7), "tones", "abc");
  const of = (shown: number[]) => meanDiversity(network, imageSet(numbered(40).batch(shown).images, SIZE), 3);
  expect(of([1, 1, 1, 39, 39, 39])).toBeCloseTo(0, 9);
  const [first, second] = [of([1, 20, 39]), of([2, 2, 30])];
  expect(first).toBeGreaterThan(0);
  expect(of([1, 20, 39, 2, 2, 30])).toBeCloseTo((first + second) / 2, 9);
});
