import { Generator, scope, type Tensor, tensor } from "@iqvae/torch";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { drawRows, matchingCosts, sliced, slicedAlong } from "../../src/regularizer/sliced.ts";
import { slicedGw } from "../../src/support/kernels.ts";
import { estimatorContract } from "./contract.ts";
import { estimateOf, expectReference, gaussian, goldens, matrix, relativeError, rotation } from "./support.ts";

estimatorContract(sliced({ directions: 8 }), {
  name: "sliced()",
  invariant: { translation: true, rotation: false, sign: true, permutation: true },
  unequalRows: true,
  exactGradient: true,
  zero: true,
});

/** The cost of one matching straight from its definition. */
function bruteForce(x: readonly number[], y: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++)
    for (let j = 0; j < x.length; j++) sum += ((x[i]! - x[j]!) ** 2 - (y[i]! - y[j]!) ** 2) ** 2;
  return sum / x.length ** 2;
}

/** The cheaper of the increasing and the decreasing matching, both enumerated. */
function enumerated(x: readonly number[], y: readonly number[]): number {
  const rising = [...y].sort((a, b) => a - b);
  const sorted = [...x].sort((a, b) => a - b);
  return Math.min(bruteForce(sorted, rising), bruteForce(sorted, rising.toReversed()));
}

const numbers = (n: number) => fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: n, maxLength: n });
const pairs = fc.integer({ min: 1, max: 20 }).chain((n) => fc.tuple(numbers(n), numbers(n)));
const row = (values: readonly number[], dtype: "float32" | "float64") => tensor([values], { dtype });

describe("the one-dimensional cost", () => {
  const implementations: [string, "float32" | "float64", (x: Tensor, y: Tensor) => readonly Tensor[]][] = [
    ["plain operators, float64", "float64", matchingCosts],
    ["plain operators, float32", "float32", matchingCosts],
    ["the fused kernel", "float32", (x, y) => slicedGw(x, y)],
  ];

  test.each(implementations)("is the cheaper matching by brute force: %s", (_, dtype, cost) =>
    fc.assert(
      fc.property(pairs, ([x, y]) =>
        scope(() => {
          const came = cost(row(x, dtype), row(y, dtype))[0]!.item();
          const [a, b] = dtype === "float64" ? [x, y] : [x.map(Math.fround), y.map(Math.fround)];
          const wanted = enumerated(a, b);
          expect(Math.abs(came - wanted)).toBeLessThan(1e-10 * (1 + wanted));
        }),
      ),
    ),
  );

  test("is never above any matching's for three points, where sorting is known to be best", () =>
    fc.assert(
      fc.property(numbers(3), numbers(3), (x, y) => {
        const orders = [
          [0, 1, 2],
          [0, 2, 1],
          [1, 0, 2],
          [1, 2, 0],
          [2, 0, 1],
          [2, 1, 0],
        ];
        const best = Math.min(
          ...orders.map((order) =>
            bruteForce(
              x,
              order.map((k) => y[k]!),
            ),
          ),
        );
        const came = scope(() => matchingCosts(row(x, "float64"), row(y, "float64"))[0].item());
        expect(came).toBeLessThanOrEqual(best + 1e-9 * (1 + best));
      }),
    ));

  test("keeps its digits for spaces that nearly agree far from the origin", () => {
    const x = Array.from({ length: 50 }, (_, i) => 1000 + Math.sin(i * 12.9));
    const y = x.map((value, i) => -value + 1e-4 * Math.cos(i * 78.2));
    const wanted = enumerated(x, y);
    const came = matchingCosts(row(x, "float64"), row(y, "float64"))[0].item();
    expect(Math.abs(came - wanted) / wanted).toBeLessThan(1e-6);
  });
});

describe("the fused kernel", () => {
  test.each([
    ["random rows", 7, 333],
    ["one point", 3, 1],
    ["two points", 3, 2],
    ["many points", 2, 5000],
  ])("agrees with plain operators: %s", (_, L, n) => {
    const [x, y] = [gaussian(1, L, n).to("float32"), gaussian(2, L, n).mul(0.8).to("float32")];
    const fused = slicedGw(x, y);
    for (const [i, plain] of matchingCosts(x, y).entries()) expect(relativeError(fused[i]!, plain)).toBeLessThan(1e-6);
  });

  test("sorts negative numbers, both zeros, subnormal, equal and huge ones", () => {
    const values = [0, -0, 1e-42, -1e-42, 3, 3, -3, -3, 1e8, -1e8, 0.5, -0.5, 2 ** -126, 1, -1, 1];
    const [x, y] = [row(values, "float32"), gaussian(5, 1, values.length).mul(1e8).to("float32")];
    expect(relativeError(slicedGw(x, y)[0], matchingCosts(x, y)[0])).toBeLessThan(1e-12);
  });

  test("reads rows that do not lie in order", () => {
    const [x, y] = [gaussian(1, 40, 3).to("float32").t(), gaussian(2, 40, 3).to("float32").t()];
    expect(slicedGw(x, y)[0].equal(slicedGw(x.contiguous(), y.contiguous())[0])).toBe(true);
  });

  test("refuses other shapes and types", () => {
    const x = gaussian(1, 2, 3).to("float32");
    expect(() => slicedGw(x, x.t())).toThrow("expects two filled matrices of one shape, got [2, 3] and [3, 2]");
    expect(() => slicedGw(x.to("float64"), x)).toThrow("expects float32, got Double and Float");
  });
});

describe("sliced", () => {
  test.each(goldens("sliced"))("agrees with brute force in PyTorch, case %#", ({ theta, ...reference }) => {
    expectReference((x, c) => slicedAlong(x, c, matrix(theta)), reference, 1e-9);
    expectReference((x, c) => slicedAlong(x, c, matrix(theta, "float32")), reference, 1e-4, "float32");
  });

  test("draws directions evenly: their mean cost for a line is that of a random angle", () => {
    // Points ±1 on one axis against a single point: (θ₁·2)⁴/2 · 2/4 … = 8 E[θ₁⁴] = 8 · 3/(d(d+2)).
    const [x, c] = [
      matrix([
        [1, 0, 0],
        [-1, 0, 0],
      ]),
      matrix([[0], [0]]),
    ];
    expect(estimateOf(sliced({ directions: 20_000 }), x, c)).toBeCloseTo((8 * 3) / (3 * 5), 1);
  });

  test("sees a turn, which keeps all distances: it is a divergence", () => {
    const x = gaussian(1, 30, 4).mul(matrix([[3, 1, 0.5, 0.1]]));
    expect(estimateOf(sliced(), x, x.matmul(rotation(2, 4)))).toBeGreaterThan(1e-3);
  });

  test("draws different directions from the default generator at every call", () => {
    const [x, c] = [gaussian(1, 12, 4), gaussian(2, 12, 3)];
    expect(sliced()(x, c).item()).not.toBe(sliced()(x, c).item());
  });
});

describe("drawRows", () => {
  test("draws different rows, each as likely as another, and all in order when there are not more", () => {
    const z = tensor([0, 1, 2, 3, 4, 5]).reshape([6, 1]);
    expect(drawRows(z, 6)).toBe(z);
    const counts = new Array(6).fill(0);
    const generator = new Generator(1);
    for (let i = 0; i < 600; i++) {
      const drawn = [...drawRows(z, 2, generator).read("float32")];
      expect(new Set(drawn).size).toBe(2);
      for (const value of drawn) counts[value]++;
    }
    for (const count of counts) expect(Math.abs(count - 200)).toBeLessThan(60);
  });
});
