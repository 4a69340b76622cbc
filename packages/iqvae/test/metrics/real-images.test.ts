import { expect, test } from "vitest";
import type { PairSplit } from "../../src/data/index.ts";
import { inAllPositions, untransformed } from "../../src/data/symmetries.ts";
import { AttributesNetwork, attributesFeatures } from "../../src/features/attributes.ts";
import { Clock } from "../../src/metrics/clock.ts";
import { FeatureStore } from "../../src/metrics/feature-store.ts";
import { networkFigures } from "../../src/metrics/figures.ts";
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
