import { autocast, Generator, grad, liveTensors, noGrad, scope, type Tensor, tensor } from "@iqvae/torch";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Estimator } from "../../src/regularizer/estimator.ts";
import { estimateOf, gaussian, numericalGradient, relativeError, rotation, withGradients } from "./support.ts";

/** What an estimator promises beyond what all do. */
export interface Promises {
  /** The estimator's name in its errors. */
  readonly name: string;
  /** Motions of a side that leave the value as it is. */
  readonly invariant: {
    readonly translation: boolean;
    /** Of one side alone: only those that find the coupling themselves. */
    readonly permutation: boolean;
    readonly rotation: boolean;
    /** The sign of one side alone. */
    readonly sign: boolean;
  };
  /** Whether one side may have more rows. */
  readonly unequalRows: boolean;
  /** Whether the gradient is that of the returned number; the entropic one's is not, and is tested in its own file. */
  readonly exactGradient: boolean;
  /** Whether equal spaces come to exactly 0; with entropy they only come near it, which has its own test. */
  readonly zero: boolean;
  /** How far the value may move, relatively, when the sides change places; default 1e-6. */
  readonly asymmetry?: number;
  /** Random cases a property; default 15. */
  readonly runs?: number;
}

const seeds = fc.integer({ min: 1, max: 1_000_000 });

/** The gradient by finite differences. Where a value has a kink within a step, as sorted values have, the case is left out. */
function slopes(f: (z: Tensor) => number, z: Tensor): Tensor {
  const [whole, half] = [1e-5, 5e-6].map((step) => numericalGradient(f, z, step)) as [Tensor, Tensor];
  fc.pre(relativeError(half, whole) < 1e-6);
  return whole;
}

/** Checks that hold for every estimator. */
export function estimatorContract(estimator: Estimator, promises: Promises): void {
  const { invariant, name } = promises;
  const property = (check: (seed: number) => void, numRuns = promises.runs ?? 15) =>
    fc.assert(
      fc.property(seeds, (seed) => scope(() => check(seed))),
      { numRuns },
    );
  const close = (came: number, wanted: number, precision = 1e-6) =>
    expect(Math.abs(came - wanted)).toBeLessThan(precision * (1 + Math.abs(wanted)));

  /** What an estimator does not promise is no test of it. */
  const when = (promised: boolean): ((title: string, check: () => void) => void) => (promised ? test : () => {});

  describe(`${name} as an estimator`, () => {
    test("is a scalar, finite and not negative, whichever side has more dimensions", () =>
      property((seed) => {
        for (const [dX, dC] of [
          [5, 2],
          [2, 5],
          [3, 3],
        ]) {
          const value = estimator(gaussian(seed, 12, dX!), gaussian(seed + 1, 12, dC!), new Generator(seed));
          expect(value.shape).toEqual([]);
          expect(value.item()).toBeGreaterThanOrEqual(0);
          expect(Number.isFinite(value.item())).toBe(true);
        }
      }));

    test("is symmetric in its arguments", () =>
      property((seed) => {
        const [x, c] = [gaussian(seed, 12, 4), gaussian(seed + 1, 12, 3)];
        close(estimateOf(estimator, x, c), estimateOf(estimator, c, x), promises.asymmetry);
      }));

    when(promises.zero)("is 0 for a space and itself, and clearly above for two that differ", () =>
      property((seed) => {
        const [x, c] = [gaussian(seed, 12, 4), gaussian(seed + 1, 12, 4)];
        const apart = estimateOf(estimator, x, c);
        expect(apart).toBeGreaterThan(0);
        expect(estimateOf(estimator, x, x)).toBeLessThan(1e-12);
      }),
    );

    when(invariant.translation)("does not see where a side lies", () =>
      property((seed) => {
        const [x, c] = [gaussian(seed, 12, 4), gaussian(seed + 1, 12, 3)];
        close(estimateOf(estimator, x.add(gaussian(seed + 2, 1, 4).mul(5)), c), estimateOf(estimator, x, c));
      }),
    );

    when(invariant.rotation)("does not see how a side is turned", () =>
      property((seed) => {
        const [x, c] = [gaussian(seed, 12, 4), gaussian(seed + 1, 12, 3)];
        close(estimateOf(estimator, x.matmul(rotation(seed + 2, 4)), c), estimateOf(estimator, x, c));
      }),
    );

    when(invariant.sign)("does not see the sign of a side", () =>
      property((seed) => {
        const [x, c] = [gaussian(seed, 12, 4), gaussian(seed + 1, 12, 3)];
        close(estimateOf(estimator, x, c.neg()), estimateOf(estimator, x, c));
      }),
    );

    test("does not see the order of the rows, of one side or of both together", () =>
      property((seed) => {
        const [x, c] = [gaussian(seed, 12, 4), gaussian(seed + 1, 12, 3)];
        const order = gaussian(seed + 2, 12).argsort();
        const other = invariant.permutation ? c : c.index_select(0, order);
        close(estimateOf(estimator, x.index_select(0, order), other), estimateOf(estimator, x, c));
      }));

    when(promises.exactGradient)("has the gradient of its value, by finite differences", () =>
      property((seed) => {
        const [x, c] = [gaussian(seed, 6, 3), gaussian(seed + 1, 6, 2)];
        const { gradX, gradC } = withGradients((zX, zC) => estimator(zX, zC, new Generator(7)), x, c);
        expect(
          relativeError(
            gradX,
            slopes((z) => estimateOf(estimator, z, c), x),
          ),
        ).toBeLessThan(1e-5);
        expect(
          relativeError(
            gradC,
            slopes((z) => estimateOf(estimator, x, z), c),
          ),
        ).toBeLessThan(1e-5);
      }, 5),
    );

    test("gives the same bits for the same seed", () => {
      const [x, c] = [gaussian(1, 12, 4).to("float32"), gaussian(2, 12, 3).to("float32")];
      const run = () => withGradients((zX, zC) => estimator(zX, zC, new Generator(3)), x, c);
      const [first, second] = [run(), run()];
      expect(second.value).toBe(first.value);
      expect(second.gradX.equal(first.gradX)).toBe(true);
      expect(second.gradC.equal(first.gradC)).toBe(true);
    });

    test("computes in float32 within bfloat16 autocast, and takes bfloat16 features", () => {
      const [x, c] = [gaussian(1, 12, 4).to("float32"), gaussian(2, 12, 3).to("float32")];
      const value = estimateOf(estimator, x, c);
      expect(autocast({ dtype: "bfloat16" }, () => estimateOf(estimator, x, c))).toBe(value);
      const half = estimator(x.to("bfloat16"), c.to("bfloat16"), new Generator(7));
      expect(half.dtype).toBe("float32");
      expect(Math.abs(half.item() - value) / value).toBeLessThan(0.1);
    });

    test("scales a gradient that comes from above, and gives none where none is recorded", () => {
      const [x, c] = [gaussian(1, 12, 4), gaussian(2, 12, 3)];
      const estimate = (factor: number) =>
        withGradients((zX, zC) => estimator(zX, zC, new Generator(7)).mul(factor), x, c).gradX;
      expect(relativeError(estimate(-3), estimate(1).mul(-3))).toBeLessThan(1e-12);
      x.requiresGrad = true;
      expect(noGrad(() => estimator(x, c)).requiresGrad).toBe(false);
      expect(estimator(x, c.detach()).requiresGrad).toBe(true);
      expect(
        grad([estimator(x, c)], [x])[0]!
          .isfinite()
          .all()
          .item(),
      ).toBe(1);
    });

    test("leaves no tensor behind but its result", () => {
      const [x, c] = [gaussian(1, 12, 4), gaussian(2, 12, 3)];
      const generator = new Generator(0);
      const before = liveTensors();
      estimator(x, c, generator).dispose();
      expect(liveTensors()).toBe(before);
    });

    test("names the shapes of what is no matrix or has no rows", () => {
      const x = gaussian(1, 4, 3);
      expect(() => estimator(x, gaussian(1, 2, 3, 2, 2))).toThrow(
        `${name} expects features as matrices, zX [n, dX] and zC [m, dC], but got zX [4, 3] and zC [2, 3, 2, 2]; ` +
          "flatten feature maps first, [B, d, h, w] to [B·h·w, d]",
      );
      expect(() => estimator(gaussian(1, 0, 3), x)).toThrow(
        `${name} expects at least one row and one column, but got zX [0, 3] and zC [4, 3]`,
      );
    });

    when(promises.unequalRows)("takes sides of different size", () => {
      const [x, c] = [gaussian(1, 12, 4), gaussian(2, 7, 3)];
      const { value, gradX, gradC } = withGradients((zX, zC) => estimator(zX, zC, new Generator(7)), x, c);
      expect(value).toBeGreaterThan(0);
      expect([gradX.shape, gradC.shape]).toEqual([
        [12, 4],
        [7, 3],
      ]);
      close(estimateOf(estimator, c, x), value, promises.asymmetry);
    });

    when(!promises.unequalRows)("names the shapes of sides of different size", () => {
      expect(() => estimator(gaussian(1, 4, 3), gaussian(1, 5, 2))).toThrow(
        `${name} compares row i of zX with row i of zC and expects equally many rows, but got zX [4, 3] and zC [5, 2]; ` +
          "give rows of the same places, or use the sliced or entropic estimator",
      );
    });

    test.each(["float32", "float64"] as const)("says which side holds NaN or infinity, in %s", (dtype) => {
      const fine = gaussian(1, 4, 2).to(dtype);
      const broken = tensor([1, 2, Number.NaN, 4, 5, 6, 7, 8], { dtype }).reshape([4, 2]);
      const endless = tensor([1, 2, 3, 4, 5, 6, 7, Number.NEGATIVE_INFINITY], { dtype }).reshape([4, 2]);
      const advice = "NaN or infinite values; look at the loss and the gradients of the step before";
      expect(() => estimator(broken, fine)).toThrow(`${name} came to NaN: zX holds ${advice}`);
      expect(() => estimator(fine, endless)).toThrow(new RegExp(`zC holds ${advice}`));
      expect(() => estimator(endless, broken)).toThrow(`zX and zC hold ${advice}`);
    });
  });
}
