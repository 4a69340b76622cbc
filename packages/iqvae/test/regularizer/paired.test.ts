import { scope } from "@iqvae/torch";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DISTANCES, type Distance, distances } from "../../src/regularizer/distances.ts";
import type { Estimator } from "../../src/regularizer/estimator.ts";
import { paired } from "../../src/regularizer/paired.ts";
import { estimatorContract } from "./contract.ts";
import { estimateOf, expectReference, gaussian, goldens, matrix, relativeError, withGradients } from "./support.ts";

for (const distance of DISTANCES)
  describe(`distance ${distance}`, () =>
    estimatorContract(paired({ distance }), {
      name: "paired()",
      invariant: { translation: distance !== "cosine", rotation: true, sign: true, permutation: false },
      unequalRows: false,
      exactGradient: true,
      zero: true,
    }));

describe("paired", () => {
  test.each(goldens("paired"))("agrees with all pairs in PyTorch, $distance", ({ distance, ...reference }) => {
    expectReference(paired({ distance }), reference, 1e-9);
    expectReference(paired({ distance }), reference, 1e-4, "float32");
  });

  test.each(goldens("exact"))(
    "bounds the Gromov–Wasserstein cost that POT finds, $distance",
    ({ distance, zX, zC, value }) => {
      expect(estimateOf(paired({ distance }), matrix(zX), matrix(zC))).toBeGreaterThanOrEqual(value * (1 - 1e-9));
    },
  );

  test("takes the cosine distance when none is named", () => {
    const [x, c] = [gaussian(1, 6, 3), gaussian(2, 6, 2)];
    expect(estimateOf(paired(), x, c)).toBe(estimateOf(paired({ distance: "cosine" }), x, c));
    expect(estimateOf(paired(), x.mul(3), c)).toBeCloseTo(estimateOf(paired(), x, c), 12);
  });

  test("says when finite features overflow", () => {
    const huge = gaussian(1, 4, 2).to("float32").mul(1e15);
    expect(() => paired({ distance: "sqeuclidean" })(huge, gaussian(2, 4, 2).to("float32"))).toThrow(
      "paired() came to Infinity: the features are finite but so large that the result overflows; normalize them",
    );
  });
});

describe("distances", () => {
  test.each<[Distance, number[]]>([
    ["sqeuclidean", [0, 25, 1, 25, 0, 20, 1, 20, 0]],
    ["euclidean", [0, 5, 1, 5, 0, Math.sqrt(20), 1, Math.sqrt(20), 0]],
  ])("%s of three points by hand", (distance, wanted) => {
    const came = distances(
      matrix([
        [1, 1],
        [4, 5],
        [2, 1],
      ]),
      distance,
    ).read("float64");
    for (const [i, value] of wanted.entries()) expect(came[i]).toBeCloseTo(value, 9);
  });

  test("cosine of a right, a straight and no angle by hand", () => {
    const came = distances(
      matrix([
        [2, 0],
        [0, 3],
        [-1, 0],
      ]),
      "cosine",
    ).read("float64");
    for (const [i, value] of [0, 1, 2, 1, 0, 1, 2, 1, 0].entries()) expect(came[i]).toBeCloseTo(value, 12);
  });

  test("keep their digits far from the origin", () => {
    const near = gaussian(3, 8, 4).to("float32");
    const far = near.to("float64").add(3000).to("float32");
    const error = distances(far, "euclidean")
      .sub(distances(far.to("float64"), "euclidean"))
      .abs()
      .max()
      .item();
    expect(error).toBeLessThan(1e-3);
  });

  test.each(DISTANCES)("%s has finite gradients for equal points and zero vectors", (distance) => {
    const x = matrix(
      [
        [0, 0],
        [0, 0],
        [1, 2],
        [1, 2],
        [3, -1],
      ],
      "float32",
    );
    const { value, gradX } = withGradients(paired({ distance }), x, gaussian(2, 5, 3).to("float32"));
    expect(Number.isFinite(value)).toBe(true);
    expect(gradX.isfinite().all().item()).toBe(1);
  });
});

describe("the matrices of features, in place of all pairs", () => {
  const allPairs =
    (distance: Distance): Estimator =>
    (zX, zC) =>
      distances(zX, distance).sub(distances(zC, distance)).square().mean();
  const shape = fc.record({ n: fc.integer({ min: 1, max: 40 }), dX: fc.integer({ min: 1, max: 12 }) });

  test.each(["cosine", "sqeuclidean"] as const)("value and gradients are those of all pairs, %s", (distance) =>
    fc.assert(
      fc.property(fc.nat(1_000_000), shape, fc.integer({ min: 1, max: 12 }), (seed, { n, dX }, dC) =>
        scope(() => {
          // Away from the origin, where products are large and their differences are not.
          const [x, c] = [gaussian(seed, n, dX).add(2), gaussian(seed + 1, n, dC).sub(1)];
          const [came, wanted] = [paired({ distance }), allPairs(distance)].map((one) => withGradients(one, x, c));
          const size = 1 + wanted!.value;
          expect(Math.abs(came!.value - wanted!.value) / size).toBeLessThan(1e-12);
          for (const side of ["gradX", "gradC"] as const)
            expect(came![side].sub(wanted![side]).abs().max().item() / size).toBeLessThan(1e-11);
        }),
      ),
      { numRuns: 60 },
    ),
  );

  test("in float32 to rounding, at the size of a training", () => {
    const [x, c] = [gaussian(1, 2048, 16), gaussian(2, 2048, 8)].map((z) => z.to("float32"));
    const [came, wanted] = [paired(), allPairs("cosine")].map((one) => withGradients(one, x!, c!));
    expect(Math.abs(came!.value / wanted!.value - 1)).toBeLessThan(1e-5);
    expect(relativeError(came!.gradX, wanted!.gradX)).toBeLessThan(1e-4);
  });

  test("equal sides in float32 come to 0, not below", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const x = gaussian(seed, 300, 16).to("float32");
      const value = estimateOf(paired(), x, x.neg());
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(1e-6);
    }
  });

  test("names the rows that blocks cannot share", () => {
    expect(() => paired({ blocks: 4 })(gaussian(1, 6, 2), gaussian(2, 6, 2))).toThrow(/4 blocks .* 6 rows/);
  });
});
