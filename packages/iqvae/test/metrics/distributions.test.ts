import { ops, scope, type Tensor, tensor } from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { frechetDistance } from "../../src/metrics/frechet.ts";
import { imageSet } from "../../src/metrics/image-set.ts";
import { MomentsStream, momentsOf } from "../../src/metrics/moments.ts";
import { precisionRecall } from "../../src/metrics/precision-recall.ts";
import { laplacianLevel } from "../../src/metrics/pyramid.ts";
import { cutPatches, patchDistances, type SlicedWasserstein, slicedWasserstein } from "../../src/metrics/swd.ts";
import { sortedWasserstein1, wasserstein1 } from "../../src/metrics/wasserstein.ts";
import { seededRandom } from "../../src/support/random.ts";
import { golden, numbers, relativeError } from "./goldens.ts";

function normal(rows: number, columns: number, seed: number): Tensor {
  const random = seededRandom("test", seed);
  const value = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return tensor(Float64Array.from({ length: rows * columns }, value), { shape: [rows, columns] });
}

describe("Fréchet distance", () => {
  test.each(["full", "singular"])("agrees with pytorch-fid on a %s covariance", (name) => {
    const [a, b] = ["a", "b"].map((set) => momentsOf(golden(`frechet/${name}/${set}`)));
    const [value] = numbers(golden(`frechet/${name}/value`));
    // The reference's matrix square root loses half of the digits where the product is singular.
    expect(frechetDistance(a!, b!) / value!).toBeCloseTo(1, name === "full" ? 8 : 4);
  });

  test("batches of any sizes give the moments of the whole, far from zero too", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 6 }),
        fc.integer(),
        (sizes, seed) =>
          scope(() => {
            const total = sizes.reduce((a, b) => a + b, 0);
            const all = normal(total, 4, seed).add(1e6);
            using stream = new MomentsStream(4);
            let at = 0;
            for (const size of sizes) {
              stream.add(all.slice(0, at, at + size));
              at += size;
            }
            const { mean, covariance, count } = stream.moments();
            expect(count).toBe(total);
            expect(relativeError(mean, all.mean([0]))).toBeLessThan(1e-14);
            expect(relativeError(covariance, ops.aten.cov(all.t()))).toBeLessThan(1e-8);
          }),
      ),
      { numRuns: 30 },
    );
  });

  test("is zero for equal sets, symmetric, and the squared shift for a shifted set", () => {
    scope(() => {
      const a = normal(50, 5, 1);
      const [m, shifted, other] = [momentsOf(a), momentsOf(a.add(2)), momentsOf(normal(50, 5, 2))];
      expect(frechetDistance(m, m)).toBeLessThan(1e-9);
      expect(frechetDistance(m, shifted)).toBeCloseTo(5 * 4, 8);
      expect(frechetDistance(m, other)).toBeCloseTo(frechetDistance(other, m), 9);
    });
  });

  test("says what is wrong", () => {
    scope(() => {
      const a = momentsOf(normal(9, 3, 1));
      expect(() => frechetDistance(a, momentsOf(normal(9, 4, 1)))).toThrow(/features of 3 and of 4 dimensions/);
      expect(() => frechetDistance(a, momentsOf(normal(9, 3, 1).mul(Number.NaN)))).toThrow(/not finite/);
      expect(() => momentsOf(normal(1, 3, 1))).toThrow(/at least 2 images, but there are 1/);
      using stream = new MomentsStream(3);
      expect(() => stream.add(normal(2, 4, 1))).toThrow(/takes \[B, D\] features/);
    });
  });
});

describe("precision and recall", () => {
  test("agree with all pairs in numpy", () => {
    const { precision, recall } = precisionRecall(golden("pr/a"), golden("pr/b"));
    expect([precision, recall]).toEqual(numbers(golden("pr/value")));
  });

  test("equal sets are all inside, far ones not at all, a narrow one is precise and recalls little", () => {
    scope(() => {
      const a = normal(1500, 3, 3); // more than one block
      expect(precisionRecall(a, a)).toEqual({ precision: 1, recall: 1 });
      expect(precisionRecall(a, a.add(1000))).toEqual({ precision: 0, recall: 0 });
      const { precision, recall } = precisionRecall(a, normal(1500, 3, 4).mul(0.2));
      expect(precision).toBeGreaterThan(0.95);
      expect(recall).toBeLessThan(0.3);
    });
  });

  test("say how many rows they take", () => {
    expect(() => precisionRecall(normal(3, 2, 1), normal(9, 2, 1))).toThrow(/more than 3 rows, but real is/);
  });

  test("refuse what is not finite, as the Fréchet distance does", () => {
    for (const wrong of [Number.NaN, Infinity]) {
      const broken = normal(9, 2, 1);
      broken.select(0, 4).fill_(wrong);
      expect(() => precisionRecall(broken, normal(9, 2, 3))).toThrow(/features of real are not finite/);
      expect(() => precisionRecall(normal(9, 2, 3), broken)).toThrow(/features of drawn are not finite/);
    }
  });
});

describe("sliced Wasserstein distance", () => {
  test("the pyramid is that of scipy with mirrored borders", () => {
    scope(() => {
      for (let i = 0; i < 3; i++) {
        const level = laplacianLevel(golden("pyramid/input"), i, 3);
        expect(relativeError(level, golden(`pyramid/${i}`)), `level ${i}`).toBeLessThan(1e-12);
      }
    });
  });

  test("the distance of patches agrees with numpy", () => {
    const [a, b] = [golden("swd/a").to("float32"), golden("swd/b").to("float32")];
    const [distance, none] = patchDistances(a, [b, a], golden("swd/directions"));
    expect(none).toBe(0);
    expect(distance).toBeCloseTo(numbers(golden("swd/value"))[0]!, 4);
  });

  test("patches are cut where their corners are, channels outside", () => {
    scope(() => {
      const planes = ops.aten.arange(2 * 3 * 9 * 9, { dtype: "float32" }).reshape([2, 3, 9, 9]);
      const corners = tensor(Int32Array.from([0, 9 * 2 + 1, 9 + 2, 0]), { shape: [2, 2] });
      const patches = cutPatches(planes, corners, 9);
      expect(patches.shape).toEqual([4, 147]);
      const expected = planes.slice(0, 0, 1).slice(2, 2, 9).slice(3, 1, 8).reshape([-1]);
      expect(numbers(patches.select(0, 1))).toEqual(numbers(expected));
      const second = planes.slice(0, 1, 2).slice(2, 1, 8).slice(3, 2, 9).reshape([-1]);
      expect(numbers(patches.select(0, 2))).toEqual(numbers(second));
    });
  });

  test("noise and blur differ at the fine level, equal seeds give equal figures", () => {
    const random = seededRandom("noise");
    const bytes = () => Uint8Array.from({ length: 24 * 32 * 32 * 3 }, () => Math.floor(random() * 256));
    const [a, b] = [imageSet(bytes(), 32), imageSet(bytes(), 32)];
    const flat = imageSet(
      a.pixels.map((_, i) => a.pixels[Math.floor(i / 48) * 48]!),
      32,
    );
    const [same, coarse] = slicedWasserstein(a, [b, flat], { seed: 1 }) as [SlicedWasserstein, SlicedWasserstein];
    expect(same.levels.map(({ side }) => side)).toEqual([32, 16]);
    expect(slicedWasserstein(a, [b, flat], { seed: 1 })).toEqual([same, coarse]);
    expect(slicedWasserstein(a, [b], { seed: 2 })).not.toEqual([same]);
    expect(coarse.levels[0]!.distance).toBeGreaterThan(5 * same.levels[0]!.distance);
    expect(() => slicedWasserstein(a, [imageSet(bytes().subarray(0, 3072), 32)], { seed: 1 })).toThrow(
      /24 of 32 .* 1 of 32/,
    );
  });

  test("blank images are all equally far from others, whatever their color", () => {
    const random = seededRandom("blank");
    const of = (pixel: (i: number) => number) =>
      imageSet(
        Uint8Array.from({ length: 9 * 32 * 32 * 3 }, (_, i) => pixel(i)),
        32,
      );
    const noise = of(() => Math.floor(random() * 256));
    const blank = [of(() => 0), of(() => 200), of((i) => (i % 3) * 77), of((i) => 20 * Math.floor(i / 3072))];
    const figures = slicedWasserstein(noise, blank, { seed: 1 }).map(({ levels }) =>
      levels.map(({ distance }) => distance),
    );
    // The mean size of standard normal numbers is 0.798.
    for (const [fine] of figures) expect(fine! / 798).toBeCloseTo(1, 1);
    for (const [, coarse] of figures.slice(0, 3)) expect(coarse! / 798).toBeCloseTo(1, 1);
    expect(slicedWasserstein(blank[0]!, blank.slice(0, 3), { seed: 1 }).map(({ mean }) => mean)).toEqual([0, 0, 0]);
  });

  test("the distance of two samples is the mean distance of their sorted numbers", () => {
    const number = fc.float({ noNaN: true, noDefaultInfinity: true, min: -50, max: 50 });
    const pairs = fc.array(fc.tuple(number, number), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(pairs, (both) => {
        const [a, b] = [0, 1].map((side) => Float32Array.from(both, (pair) => pair[side]!)) as [
          Float32Array,
          Float32Array,
        ];
        const [x, y] = [a.slice().sort(), b.slice().sort()];
        const exact = x.reduce((sum, value, i) => sum + Math.abs(value - y[i]!), 0) / x.length;
        const all = [...a, ...b];
        const bin = (Math.max(...all) - Math.min(...all)) / 2 ** 16;
        expect(Math.abs(wasserstein1(a, [b])[0]! - exact)).toBeLessThanOrEqual(1.01 * bin + 1e-9);
        // A second row must not be mixed with the first, nor a sample with another.
        const rows = (first: Float32Array) =>
          tensor(Float32Array.of(...first, ...a), { shape: [2, a.length], device: "cpu" });
        const [same, other] = scope(() => sortedWasserstein1(rows(a), [rows(a), rows(b)])) as [
          Float64Array,
          Float64Array,
        ];
        expect([...same, other[1]]).toEqual([0, 0, 0]);
        expect(other[0]).toBeCloseTo(exact, 4);
      }),
    );
    const random = seededRandom("wasserstein");
    const [a, b] = [0, 0.01].map((shift) => Float32Array.from({ length: 200_000 }, () => random() + random() + shift));
    const [x, y] = [a!.slice().sort(), b!.slice().sort()];
    const exact = x.reduce((sum, value, i) => sum + Math.abs(value - y[i]!), 0) / x.length;
    const [zero, distance] = wasserstein1(a!, [a!, b!]);
    expect(zero).toBe(0);
    expect(distance! / exact).toBeCloseTo(1, 4);
    expect(() => wasserstein1(a!, [b!.subarray(1)])).toThrow(/200000 and 199999/);
    for (const wrong of [Infinity, -Infinity, Number.NaN])
      for (const [x, y] of [
        [wrong, 2],
        [2, wrong],
      ] as const) {
        expect(() => wasserstein1(Float32Array.of(x, y), [Float32Array.of(1, 2)])).toThrow(/not finite/);
        expect(() => wasserstein1(Float32Array.of(1, 2), [Float32Array.of(x, y)])).toThrow(/not finite/);
      }
    expect(wasserstein1(Float32Array.of(3, 3), [Float32Array.of(3, 3)])).toEqual([0]);
  });
});
