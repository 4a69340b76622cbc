import { type Tensor, tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { Clock } from "../../src/metrics/clock.ts";
import { FeatureStore } from "../../src/metrics/feature-store.ts";
import { type ImageSet, imageSet, joinImages } from "../../src/metrics/image-set.ts";
import { COLORS, GRADIENTS, PLAIN_JUDGES } from "../../src/metrics/plain-judges.ts";
import { allTrueImages } from "../../src/metrics/real-images.ts";
import { type TripleSets, tripleOf as tripleBy, tripleFigures, tripleTruth } from "../../src/metrics/triple.ts";
import { silent } from "../../src/support/progress.ts";
import { seededRandom } from "../../src/support/random.ts";
import { SIDE, squares } from "./squares.ts";

const BYTES = SIDE * SIDE * 3;
const picture = (value: (x: number, y: number, channel: number) => number) =>
  Uint8Array.from({ length: BYTES }, (_, i) => value(Math.floor(i / 3) % SIDE, Math.floor(i / 3 / SIDE), i % 3));
const featuresOf = (judge: typeof COLORS, pixels: Uint8Array) => {
  const features = judge.features(tensor(pixels, { shape: [pixels.length / BYTES, SIDE, SIDE, 3] }));
  expect(features.shape).toEqual([pixels.length / BYTES, judge.dims]);
  return Array.from(features.contiguous().read("float32"));
};

describe("judges without a network", () => {
  test("colors are means of 8 × 8 cells, channel by channel, in tenths", () => {
    const features = featuresOf(
      COLORS,
      picture((x, y, channel) => (channel === 1 && x >= 28 && y < 2 ? 255 : 0)),
    );
    expect(COLORS.dims).toBe(192);
    // Half of the last cell of the first row, in green.
    features.forEach((value, i) => {
      expect(value).toBeCloseTo(i === 64 + 7 ? 5 : 0, 5);
    });
  });

  test.each([
    ["to the right", (x: number) => 2 * x, 0],
    ["to the left", (x: number) => 200 - 2 * x, 0],
    ["down", (_: number, y: number) => 2 * y, 4],
    ["to the right and down", (x: number, y: number) => 2 * (x + y), 2],
  ] as const)("gradients of a ramp that rises %s are in one direction", (_, value, direction) => {
    const features = featuresOf(GRADIENTS, picture(value));
    expect(GRADIENTS.dims).toBe(144);
    const size = direction === 2 ? 2 * Math.SQRT2 : 2;
    features.forEach((feature, i) => {
      const [at, y, x] = [Math.floor(i / 16), Math.floor(i / 4) % 4, i % 4];
      // Away from the border, where pixels have one neighbor less.
      if ([1, 2].includes(y) && [1, 2].includes(x))
        expect(feature, `direction ${at}`).toBeCloseTo(at === direction ? (10 * size) / 255 : 0, 4);
    });
  });

  test("gradients see blur, and colors do not see detail", () => {
    const sharp = picture((x, y) => ((x + y) % 2 === 0 ? 255 : 0));
    const edges = picture((x) => (x % 4 < 2 ? 255 : 0));
    const blurred = picture((x) => (x % 4 < 2 ? 191 : 64));
    const sum = (features: number[]) => features.reduce((a, b) => a + b);
    expect(sum(featuresOf(GRADIENTS, blurred))).toBeLessThan(0.6 * sum(featuresOf(GRADIENTS, edges)));
    featuresOf(COLORS, sharp).forEach((value) => {
      expect(value).toBeCloseTo(5, 4);
    });
  });
});

/** Noise around a gray, `count` images. */
function noise(seed: number, count: number, gray: number): ImageSet {
  const random = seededRandom("triple", seed);
  return imageSet(
    Uint8Array.from({ length: count * BYTES }, () => gray + Math.floor(40 * random())),
    SIDE,
  );
}

test("features are computed once, until they are let go", () => {
  const [first, second] = [noise(5, 3, 90), noise(6, 3, 90)];
  let computed = 0;
  const counted = (pixels: Tensor) => {
    computed++;
    return COLORS.features(pixels);
  };
  const judge = { ...COLORS, features: counted };
  const store = new FeatureStore();
  const features = store.of(judge, first);
  expect(store.of(judge, first)).toBe(features);
  expect(store.of(judge, second)).not.toBe(features);
  expect(store.of(GRADIENTS, first).shape).toEqual([3, GRADIENTS.dims]);
  expect(computed).toBe(2);
  store[Symbol.dispose]();
  expect(() => features.sum().item()).toThrow(/released/);
});

test("a store leaves sets that a longer-lived one keeps to it", () => {
  const [mine, theirs] = [noise(5, 3, 90), noise(6, 3, 90)];
  const longer = new FeatureStore();
  longer.keep(theirs);
  const store = new FeatureStore(longer);
  const [own, kept] = [store.of(COLORS, mine), store.of(COLORS, theirs)];
  expect(longer.of(COLORS, theirs)).toBe(kept);
  expect(longer.of(COLORS, mine)).not.toBe(own);
  store[Symbol.dispose]();
  expect(() => own.sum().item()).toThrow(/released/);
  expect(Number.isFinite(kept.sum().item())).toBe(true);
  longer[Symbol.dispose]();
});

describe("reconstruction, gap and total", () => {
  const tripleOf = (judge: typeof COLORS, sets: TripleSets) => {
    using features = new FeatureStore();
    return tripleBy(judge, sets, features);
  };
  const [reference, truth] = [noise(1, 300, 100), noise(2, 300, 100)];
  const [darker, darkerToo] = [noise(3, 300, 80), noise(4, 300, 80)];
  const sets: TripleSets = { reference, truth, reconstructed: darker, drawn: darkerToo, chance: [darker, darkerToo] };

  test.each(PLAIN_JUDGES)(
    "where stage 2 makes no fault, all is stage 1's, and the gap is its floor: $name",
    (judge) => {
      const { reconstruction, gap, total, floor, gapFloor, share } = tripleOf(judge, sets);
      expect(gap).toBe(gapFloor);
      if (judge !== COLORS) return;
      // 20 of 255 darker, in 192 values times ten.
      expect(reconstruction - floor).toBeCloseTo(192 * (200 / 255) ** 2, 0);
      expect(total).toBeCloseTo(reconstruction, 0);
      expect(share).toBeCloseTo(1, 1);
      expect(gap).toBeLessThan(total / 50);
    },
  );

  test("where reconstructions are perfect, nothing of it is stage 1's", () => {
    const perfect = tripleOf(COLORS, { ...sets, reconstructed: truth });
    expect(perfect.share).toBe(0);
    expect(perfect.reconstruction).toBe(perfect.floor);
    expect(perfect.gap - perfect.floor).toBeCloseTo(192 * (200 / 255) ** 2, 0);
  });

  test("of samples that are as good as true images there is no share; a floor that is not known stays so", async () => {
    const good = { ...sets, drawn: truth, chance: undefined };
    expect(tripleOf(COLORS, good)).toMatchObject({ share: undefined, gapFloor: undefined });
    const figures = await tripleFigures(good, [COLORS], { clock: new Clock(silent), features: new FeatureStore() });
    expect(figures.map(({ key, real }) => [key, real === null])).toEqual([
      ["triple.reconstruction.colors", false],
      ["triple.gap.colors", true],
      ["triple.total.colors", false],
    ]);
  });
});

/** @throws where the map of an image has a square elsewhere than its pixels have one */
function expectOwnConditions({ pixels, conditions, count }: ImageSet): void {
  expect(conditions!.length).toBe(count * SIDE * SIDE);
  const ground = pixels.subarray(0, 3);
  const isGround = Array.from(conditions!, (_, i) => ground.every((value, c) => pixels[3 * i + c] === value));
  expect(isGround).toEqual(Array.from(conditions!, (label) => label === 0));
  expect(isGround).toContain(false);
}

describe("the sets that are compared", () => {
  const [first, SAMPLES, rows] = [squares("semantic"), 3, [2, 5, 11, 40]];
  const images = imageSet(first.validation.batch(rows).images, SIDE);
  const ids = rows.map((row) => first.validation.ids[row]!);
  const drawn = noise(9, rows.length * SAMPLES, 50);
  const marked = (set: ImageSet) => ({ ...set, pixels: set.pixels.map((value) => value ^ 1) });
  const setsOf = async (dataset: typeof first) => {
    const truth = await allTrueImages(dataset, rows, SAMPLES, 7);
    const { real } = truth;
    const { counted, ...sets } = tripleTruth({ truth, samples: SAMPLES, reconstruct: marked });
    return { real, sets: { ...sets, drawn: counted(drawn) } };
  };
  const counts = ({ chance, ...sets }: TripleSets) =>
    [...Object.values(sets), ...(chance ?? [])].map((set: ImageSet) => set.count);

  test("with one true image a condition, one drawn image of each counts, and all sets are as large", async () => {
    const { real, sets } = await setsOf(first);
    expect(counts(sets)).toEqual([4, 4, 4, 4, 4, 4]);
    expect(sets.truth.pixels).toEqual(images.pixels);
    expect(sets.reconstructed.pixels).toEqual(marked(images).pixels);
    // Semantic maps tell the square of each image.
    for (const set of [sets.reference, sets.truth, sets.reconstructed, ...sets.chance!]) expectOwnConditions(set);
    const one = (i: number) => drawn.pixels.subarray(i * BYTES, (i + 1) * BYTES);
    expect(sets.drawn).toEqual(joinImages([one(0), one(3), one(6), one(9)], SIDE));
    expect(sets.chance![0]).toEqual(marked(sets.reference));
    expect(sets.chance![1].pixels).toEqual(marked(real.own!).pixels.subarray(0, 4 * BYTES));
  });

  test("where true images can be drawn, there are as many of each condition as samples, and another draw is the floor", async () => {
    const asked: [string, number][] = [];
    const facts = {
      trueImages: async (id: string, count: number, _: number, random: () => number) => {
        asked.push([id, count]);
        return Uint8Array.from({ length: count * BYTES }, () => Math.floor(256 * random()));
      },
    };
    const { real, sets } = await setsOf(squares("semantic", { facts }));
    expect(counts(sets)).toEqual([12, 12, 12, 12, 12, 12]);
    expect(sets.truth).toEqual(real.own);
    expect(sets.drawn).toEqual(drawn);
    expectOwnConditions(sets.reference);
    const { conditions } = first.validation.batch(rows.flatMap((row) => Array(SAMPLES).fill(row)));
    for (const set of [sets.truth, sets.reconstructed, sets.chance![1]]) expect(set.conditions).toEqual(conditions);
    expect(sets.chance![0]).toBe(sets.reconstructed);
    expect(sets.chance![1].pixels).not.toEqual(sets.reconstructed.pixels);
    const once = ids.map((id) => [id, SAMPLES]);
    expect(asked).toEqual([...once, ...once]);
  });
});
