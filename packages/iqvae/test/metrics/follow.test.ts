import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { manualSeed, type Tensor, tensor } from "@iqvae/torch";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { conditionFor, layoutBytes } from "../../src/conditions/index.ts";
import type { PairDataset, PairFacts } from "../../src/data/index.ts";
import { Clock } from "../../src/metrics/clock.ts";
import { FeatureStore } from "../../src/metrics/feature-store.ts";
import { agreementOf } from "../../src/metrics/fidelity/agreement.ts";
import { varied } from "../../src/metrics/fidelity/augment.ts";
import { fidelityOf } from "../../src/metrics/fidelity/fidelity.ts";
import type { FidelityFigure } from "../../src/metrics/fidelity/measure.ts";
import { conceptIn, Shelf, separate } from "../../src/metrics/fidelity/shelf.ts";
import { Towers } from "../../src/metrics/fidelity/towers.ts";
import { fidelityFigures } from "../../src/metrics/figures.ts";
import { type ImageSet, imageSet } from "../../src/metrics/image-set.ts";
import { Truths } from "../../src/metrics/truths.ts";
import { toUnitRange } from "../../src/models/iqvae.ts";
import { silent } from "../../src/support/progress.ts";
import { seededRandom } from "../../src/support/random.ts";
import { SIDE, SPECS, squares } from "./squares.ts";

/** Ids are `COLOR/NUMBER`. */
const BY_COLOR: PairFacts = { concept: (id) => id.split("/")[0]! };

const folder = mkdtempSync(join(tmpdir(), "iqvae-follow-"));
afterAll(() => rmSync(folder, { recursive: true }));

const measureOf = async (dataset: PairDataset, steps: number) =>
  (await fidelityOf(dataset, { progress: silent, cacheDir: folder, steps }))!;

/** The figures of held-out images under their own conditions, and under those of others. */
async function ownAndShuffled(dataset: PairDataset, steps: number) {
  const measure = await measureOf(dataset, steps);
  const { length } = dataset.validation;
  const rows = Array.from({ length }, (_, i) => i);
  const { images, conditions } = dataset.validation.batch(rows);
  const others = dataset.validation.batch(rows.map((row) => (row + 1) % length)).conditions;
  const [own, shuffled] = [conditions, others].map((given) => measure.score(imageSet(images, SIDE), given));
  return { own: own!, shuffled: shuffled!, networks: Object.keys(measure.networks) };
}

describe("images that follow their conditions, and the same images under conditions of others", () => {
  test.each([
    ["semantic", 50, 0.9, 0.5],
    ["lines", 50, 0.9, 0.6],
    // Edges of one's own need not be those of the detector.
    ["edges", 50, 0.9, 0.6],
    ["keypoints", 48, 0.8, 0.3],
    ["layout", 80, 0.5, 0.2],
    // Chance is 1/8.
    ["text", 30, 0.9, 0.4],
  ] as const)("%s", async (kind, steps, most, least) => {
    const { own, shuffled, networks } = await ownAndShuffled(squares(kind), steps);
    expect(networks).toEqual([expect.stringMatching(new RegExp(`^(reader|retriever)-squares-${kind}-32$`))]);
    for (const { label } of own) expect(label).toContain(networks[0]);
    expect(own[0]!.key).toBe("fidelity");
    expect(own[0]!.value).toBeGreaterThan(most);
    expect(shuffled[0]!.value).toBeLessThan(least);
    own.slice(1).forEach(({ value, better }, i) => {
      const other = shuffled[i + 1]!.value;
      if (better === "higher") expect(value).toBeGreaterThan(2 * other);
      else expect(value).toBeLessThan(other / 2);
    });
  });

  test("audio, whose others are of other concepts", async () => {
    const { own, shuffled } = await ownAndShuffled(squares("audio", { name: "speech", facts: BY_COLOR }), 30);
    expect(own[0]!.label).toMatch(/^own audio found among 8, chance 0.13 \(retriever-speech-audio-32\)$/);
    expect(own[0]!.value).toBeGreaterThan(0.9);
    expect(shuffled[0]!.value).toBeLessThan(0.4);
  });
});

test("a measure says when a condition is none of the held-out ones", async () => {
  const dataset = squares("audio", { name: "speech", facts: BY_COLOR });
  const measure = await measureOf(dataset, 2);
  const { images, conditions } = dataset.train.batch([0]);
  expect(() => measure.score(imageSet(images, SIDE), conditions)).toThrow(
    "the condition of image 0 is none of the data set's held-out ones, among which images look for their own; " +
      "score images that were drawn for held-out conditions.",
  );
});

test("nothing is retrieved where the held-out pairs have one concept", async () => {
  const { validation, ...rest } = squares("text");
  const one = { ...validation, length: 1, ids: validation.ids.slice(0, 1) };
  expect(await fidelityOf({ ...rest, validation: one }, { progress: silent, cacheDir: folder })).toBeUndefined();
});

test("each data set has a network of its own, trained on its training split, which stays open", async () => {
  const trained = () => readdirSync(join(folder, "networks")).filter((file) => file.startsWith("reader-own"));
  const rowsOf = { train: 0, validation: 0, closed: 0 };
  const counted = (key: string): PairDataset => {
    const dataset = squares("lines", { name: "own", key });
    const counting = (part: "train" | "validation") => ({
      ...dataset[part],
      batch: (indices: ArrayLike<number>) => {
        rowsOf[part] += indices.length;
        return dataset[part].batch(indices);
      },
    });
    return {
      ...dataset,
      train: counting("train"),
      validation: counting("validation"),
      close: () => {
        rowsOf.closed++;
      },
    };
  };
  const [first] = Object.entries((await measureOf(counted("one"), 2)).networks);
  // Two batches to learn from; the rest is what the reader is tested on.
  expect(rowsOf).toEqual({ train: 64, validation: 96, closed: 0 });
  expect(trained()).toHaveLength(1);
  const [again] = Object.entries((await measureOf(counted("one"), 2)).networks);
  expect(rowsOf.train).toBe(64);
  expect(again).toEqual(first);
  await measureOf(counted("two"), 2);
  expect(rowsOf.train).toBe(128);
  expect(trained()).toHaveLength(2);
});

test("each drawn image is held against its own condition, whatever its bytes are", async () => {
  const dataset = squares("keypoints");
  const rows = [4, 7];
  const { images, conditions } = dataset.validation.batch(rows);
  const drawn = imageSet(dataset.train.batch([0, 1, 2, 3, 4, 5]).images, SIDE);
  const given: Uint8Array[] = [];
  const score = (set: ImageSet, bytes: Uint8Array): FidelityFigure[] => {
    given.push(bytes);
    return [{ key: "fidelity", label: "images", value: set.count, better: "higher" }];
  };
  const real = { reference: drawn, own: undefined, isOfConditions: false };
  const own = imageSet(images, SIDE);
  const subject = {
    dataset,
    rows,
    samples: 3,
    seed: 0,
    drawn,
    real,
    heldOut: own,
    clock: new Clock(silent),
    features: new FeatureStore(),
    truths: new Truths(),
  };
  const figures = await fidelityFigures(subject, { networks: {}, score });
  expect(figures).toEqual([{ key: "fidelity", label: "images", value: 6, real: 2, better: "higher" }]);
  const [one, other] = separate(conditions, 2).map((bytes) => [...bytes]) as [number[], number[]];
  expect([...given[0]!]).toEqual([...one, ...one, ...one, ...other, ...other, ...other]);
  expect(given[1]).toEqual(conditions);
});

test("points and boxes: means over images, by hand", () => {
  const points = agreementOf(SPECS.keypoints, 64)!;
  const truth = Uint8Array.of(0, 0, 1, 100, 100, 1, 50, 50, 1, 0, 0, 0);
  const read = Uint8Array.of(0, 51, 1, 103, 104, 1, 50, 50, 1, 9, 9, 1);
  expect(points(read, truth)).toEqual([
    { key: "fidelity", label: "points within 5 % of the side", value: (1 / 2 + 1) / 2, better: "higher" },
    {
      key: "fidelity.error",
      label: "error of points, % of the side",
      value: expect.closeTo((100 * (51 + 5)) / 255 / 2 / 2, 9),
      better: "lower",
    },
  ]);
  const boxes = agreementOf(SPECS.layout, 64)!;
  const bytes = (...rows: [number, number, number, number, number][]) =>
    layoutBytes(
      rows.map(([label, left, top, width, height]) => ({ label, left, top, width, height })),
      SPECS.layout,
    );
  const two = (a: Uint8Array, b: Uint8Array) => Uint8Array.from([...a, ...b]);
  const [one, other] = [bytes([0, 0, 0, 100, 100]), bytes([3, 20, 20, 50, 50], [4, 90, 90, 60, 60])];
  // In the first image the box overlaps by a third; in the second one of two is of another class.
  const seen = two(bytes([0, 50, 0, 100, 100]), bytes([3, 20, 20, 50, 50], [5, 90, 90, 60, 60]));
  expect(boxes(seen, two(one, other))).toEqual([
    { key: "fidelity", label: "box F1", value: (0 + 1 / 2) / 2, better: "higher" },
    {
      key: "fidelity.overlap",
      label: "overlap of boxes",
      value: expect.closeTo((1 / 3 + 1 / 2) / 2, 9),
      better: "higher",
    },
  ]);
  expect(agreementOf(SPECS.text, 64)).toBeUndefined();
});

test("a shelf holds each condition once, and finds others of other concepts alone", () => {
  const dataset = squares("audio", { name: "speech", facts: BY_COLOR });
  const { ids, length, batch } = dataset.validation;
  const shelf = new Shelf(dataset);
  const conditions = separate(batch(Array.from({ length }, (_, i) => i)).conditions, length);
  expect(shelf.conditions).toEqual(conditions);
  expect(shelf.concepts).toBe(new Set(ids.map((id) => id.split("/")[0])).size);
  expect(conditions.map((condition) => shelf.find(condition))).toEqual([...conditions.keys()]);
  expect(shelf.find(new Uint8Array(256))).toBeUndefined();
  const concept = (place: number) => ids[place]!.split("/")[0]!;
  const seen = new Set<number>();
  fc.assert(
    fc.property(fc.nat(length - 1), fc.integer({ min: 1, max: shelf.concepts - 1 }), fc.nat(), (place, count, seed) => {
      const others = shelf.others(place, count, seed);
      for (const other of others) seen.add(other);
      expect(new Set([place, ...others].map(concept)).size).toBe(count + 1);
      expect(shelf.others(place, count, seed)).toEqual(others);
    }),
  );
  expect(seen.size).toBeGreaterThan(length / 2);
  // The same text twice is one condition.
  expect(new Shelf(squares("text")).conditions).toHaveLength(8);
});

test("pairs of one concept do not count against each other in training", () => {
  const condition = conditionFor(SPECS.text, SIDE);
  manualSeed(1);
  const towers = new Towers(condition);
  const { images, conditions } = squares("text").train.batch([0, 1, 2, 3]);
  const planes = toUnitRange(tensor(images, { shape: [4, SIDE, SIDE, 3] }));
  const given = condition.toPlanes(tensor(conditions, { shape: [4, ...condition.shape] }));
  const loss = (...concepts: number[]) => towers.loss(planes, given, tensor(concepts)).item();
  expect(loss(5, 5, 5, 5)).toBeCloseTo(0, 5);
  expect(loss(0, 1, 2, 3)).toBeGreaterThan(0.2);
  expect(loss(0, 0, 2, 3)).toBeLessThan(loss(0, 1, 2, 3));
});

test("images are moved differently, equally for equal seeds, and what is plain stays plain", () => {
  const { images } = squares("lines").train.batch([0, 0]);
  const planes = toUnitRange(tensor(images, { shape: [2, SIDE, SIDE, 3] }));
  const values = (seed: number) => varied(planes, seededRandom(seed)).contiguous().read("float32");
  expect(values(1)).toEqual(values(1));
  expect(values(1)).not.toEqual(values(2));
  const [first, second] = varied(planes, seededRandom(1)).unbind() as [Tensor, Tensor];
  expect(first.sub(second).abs().max().item()).toBeGreaterThan(0.5);
  // Most of a square stays where it was.
  expect(first.sub(planes.select(0, 0)).abs().mean().item()).toBeLessThan(0.2);
  const plain = planes.mul(0).add(0.25);
  expect(varied(plain, seededRandom(1)).sub(plain).abs().max().item()).toBeLessThan(1e-5);
});

test("pairs are of one concept by what is known of them, else by equal conditions", () => {
  const concept = (id: string, text: string, facts?: PairFacts) =>
    conceptIn(facts === undefined ? {} : { facts }, id, new TextEncoder().encode(text));
  expect(concept("red/1", "a", BY_COLOR)).toBe(concept("red/2", "b", BY_COLOR));
  expect(concept("red/1", "a", BY_COLOR)).not.toBe(concept("blue/1", "a", BY_COLOR));
  expect(concept("x/1", "same")).toBe(concept("y/2", "same"));
  expect(concept("x/1", "one")).not.toBe(concept("x/2", "another"));
});
