import { dropoutAdd, getNumThreads, grad, manualSeed, ops, scope, setNumThreads, type Tensor } from "@iqvae/torch";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";

const { aten } = ops;
const threads = getNumThreads();
afterEach(() => setNumThreads(threads));

/** The mask that dropping ones shows: 1 where they are kept. */
function maskOf(count: number, p: number): Float32Array {
  return scope(() =>
    dropoutAdd(aten.ones([count]), null, p)
      .gt(0)
      .to("float32")
      .read("float32"),
  );
}

const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe("dropoutAdd", () => {
  const cases = fc.record({
    shape: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 }),
    p: fc.double({ min: 0.01, max: 0.95, noNaN: true }),
    dtype: fc.constantFrom("float32", "bfloat16", "float64"),
    residual: fc.boolean(),
    seed: fc.nat(),
  });

  test("is the residual and, where it is kept, x / (1 − p), forward and backward, of any shape and type", () => {
    fc.assert(
      fc.property(cases, ({ shape, p, dtype, residual, seed }) =>
        scope(() => {
          manualSeed(seed);
          const x = aten.randn(shape).add(10).to(dtype).requires_grad_(true); // nowhere zero
          const wide = dtype === "float64" ? "float64" : "float32";
          const beside = residual ? aten.randn(shape).to(wide).requires_grad_(true) : null;
          const dy = aten
            .randn(shape)
            .add(10)
            .to(residual ? wide : dtype);
          const y = dropoutAdd(x, beside, p);
          const change = beside === null ? y : y.sub(beside);
          const mask = change.abs().gt(1).to("float64");
          const expected = x
            .to("float64")
            .mul(mask)
            .div(1 - p);
          const inputs: Tensor[] = beside === null ? [x] : [x, beside];
          const [dx, dr] = grad([y], inputs, { gradients: [dy] });
          const tolerance = dtype === "bfloat16" ? 0.02 : 1e-4;
          const close = (a: Tensor, b: Tensor) =>
            a.to("float64").sub(b).abs().le(b.abs().add(1).mul(tolerance)).all().item();
          expect(close(change, expected)).toBe(1);
          expect(dx!.dtype).toBe(dtype);
          expect(
            close(
              dx!,
              dy
                .to("float64")
                .mul(mask)
                .div(1 - p),
            ),
          ).toBe(1);
          if (beside !== null) expect(dr!.eq(dy).all().item()).toBe(1);
        }),
      ),
      { numRuns: 60 },
    );
  });

  test.each([0.1, 0.5, 0.9])("drops a share of %f, evenly over places and independently of neighbors", (p) => {
    manualSeed(3);
    const count = 1 << 20;
    const mask = maskOf(count, p);
    const sigma = Math.sqrt((p * (1 - p)) / count);
    expect(Math.abs(mean(mask) - (1 - p))).toBeLessThan(5 * sigma);
    for (const period of [2, 16, 64, 192, 1024]) {
      const sums = new Float64Array(period);
      mask.forEach((kept, i) => {
        sums[i % period]! += kept;
      });
      const expected = (count / period) * (1 - p);
      const chi = sums.reduce((sum, kept) => sum + (kept - expected) ** 2 / (expected * p), 0);
      // Five deviations of a chi-square with `period` degrees of freedom.
      expect(Math.abs(chi - period), `period ${period}`).toBeLessThan(5 * Math.sqrt(2 * period) + 5);
    }
    for (const lag of [1, 2, 16, 192]) {
      let both = 0;
      for (let i = lag; i < count; i++) both += (mask[i]! - (1 - p)) * (mask[i - lag]! - (1 - p));
      expect(Math.abs(both / (count - lag)), `lag ${lag}`).toBeLessThan((5 * p * (1 - p)) / Math.sqrt(count));
    }
  });

  test("two masks in turn have nothing in common", () => {
    manualSeed(4);
    const count = 1 << 18;
    const [first, second] = [maskOf(count, 0.5), maskOf(count, 0.5)];
    const agree = first.reduce((sum, kept, i) => sum + Number(kept === second[i]), 0) / count;
    expect(Math.abs(agree - 0.5)).toBeLessThan(5 * 0.5 * Math.sqrt(1 / count));
  });

  test("repeats after the same seed, with any number of threads, and leaves the generator be at p = 0", () => {
    const draw = (count: number) => {
      setNumThreads(count);
      manualSeed(5);
      scope(() => dropoutAdd(aten.ones([3]), null, 0));
      return maskOf(200_001, 0.3);
    };
    const one = draw(1);
    expect(draw(2)).toEqual(one);
    manualSeed(5);
    expect(maskOf(200_001, 0.3)).toEqual(one);
  });

  test("says what is wrong with a share, a residual, and a second derivative", () => {
    scope(() => {
      const x = aten.ones([2, 3]).requires_grad_(true);
      for (const p of [-0.1, 1, Number.NaN])
        expect(() => dropoutAdd(x, null, p)).toThrow(`the share to drop must be in [0, 1), but is ${p}`);
      expect(() => dropoutAdd(x, aten.ones([3, 2]), 0.5)).toThrow(
        "dropout_add expects a residual of the same shape as x, [2, 3], but got [3, 2]",
      );
      const y = dropoutAdd(x, null, 0.5).square().sum();
      expect(() => grad([y], [x], { createGraph: true })).toThrow(/dropout_add has no second derivative/);
    });
  });
});
