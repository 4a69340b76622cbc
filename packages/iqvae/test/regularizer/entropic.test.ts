import { scope, type Tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { DISTANCES, distances } from "../../src/regularizer/distances.ts";
import { entropic, entropicPlan, planCost, scaleOf } from "../../src/regularizer/entropic.ts";
import { paired } from "../../src/regularizer/paired.ts";
import { estimatorContract } from "./contract.ts";
import {
  estimateOf,
  expectReference,
  gaussian,
  goldens,
  matrix,
  numericalGradient,
  relativeError,
  withGradients,
} from "./support.ts";

/** Limits at which rounding alone is left. */
const thorough = { steps: 300, sinkhornSteps: 500, tolerance: 1e-10 };

describe.each(["cosine", "sqeuclidean", "euclidean"] as const)("distance %s", (distance) =>
  estimatorContract(entropic({ distance, epsilon: 0.2, steps: 5, sinkhornSteps: 500, tolerance: 1e-9 }), {
    name: "entropic()",
    invariant: { translation: distance !== "cosine", rotation: true, sign: true, permutation: true },
    unequalRows: true,
    exactGradient: false,
    zero: false,
    asymmetry: 1e-3, // an iteration ends with the columns
    runs: 5,
  }),
);

/** The sum over all quadruples, from its definition. */
function bruteForce(dX: Tensor, dC: Tensor, plan: Tensor): number {
  const [a, b, t] = [dX.read("float64"), dC.read("float64"), plan.read("float64")];
  const [n, m] = plan.shape as [number, number];
  let sum = 0;
  for (let i = 0; i < n; i++)
    for (let k = 0; k < n; k++)
      for (let j = 0; j < m; j++)
        for (let l = 0; l < m; l++) sum += (a[i * n + k]! - b[j * m + l]!) ** 2 * t[i * m + j]! * t[k * m + l]!;
  return sum;
}

describe("planCost", () => {
  test("is the sum over all quadruples, for any plan", () => {
    const [dX, dC] = [distances(gaussian(1, 6, 3), "euclidean"), distances(gaussian(2, 5, 2), "euclidean")];
    const plan = gaussian(3, 6, 5).abs();
    expect(planCost(dX, dC, plan).item() / bruteForce(dX, dC, plan)).toBeCloseTo(1, 10);
  });

  test("of the identity is the paired cost, and 0 for equal spaces", () => {
    const [dX, dC] = [distances(gaussian(1, 6, 3), "cosine"), distances(gaussian(2, 6, 2), "cosine")];
    const identity = matrix([...Array(6).keys()].map((i) => [...Array(6).keys()].map((j) => (i === j ? 1 / 6 : 0))));
    expect(planCost(dX, dC, identity).item()).toBeCloseTo(dX.sub(dC).square().mean().item(), 12);
    expect(planCost(dX, dX, identity).item()).toBeCloseTo(0, 14);
    expect(planCost(dX, dX, identity).item()).toBeGreaterThanOrEqual(0);
  });
});

describe("entropic", () => {
  test.each(goldens("entropic"))("finds POT's plan, cost and gradient, $distance, ε = $epsilon", (golden) => {
    const { distance, plan, ...reference } = golden;
    const [dX, dC] = [distances(matrix(reference.zX), distance), distances(matrix(reference.zC), distance)];
    const epsilon = golden.epsilon / scaleOf(dX, dC);
    expect(epsilon).toBeGreaterThanOrEqual(0.1); // with less, ours begins with more entropy than POT
    expect(relativeError(entropicPlan(dX, dC, { epsilon, ...thorough }), matrix(plan))).toBeLessThan(1e-6);
    expectReference(entropic({ distance, epsilon, ...thorough }), reference, 1e-6);
  });

  test("has a plan with uniform sums", () => {
    const [dX, dC] = [distances(gaussian(1, 9, 3), "cosine"), distances(gaussian(2, 7, 2), "cosine")];
    const plan = entropicPlan(dX, dC, { epsilon: 0.05 });
    expect(plan.ge(0).all().item()).toBe(1);
    expect(
      plan
        .sum([1])
        .sub(1 / 9)
        .abs()
        .sum()
        .item(),
    ).toBeLessThan(1e-4);
    expect(
      plan
        .sum([0])
        .sub(1 / 7)
        .abs()
        .max()
        .item(),
    ).toBeLessThan(1e-14);
  });

  test("has the gradient of the regularized optimum, by finite differences", () => {
    const [x, c] = [gaussian(4, 6, 3), gaussian(5, 5, 2)];
    const absolute = 0.2 * scaleOf(distances(x, "cosine"), distances(c, "cosine"));
    const optimum = (zX: Tensor, zC: Tensor) =>
      scope(() => {
        const [dX, dC] = [distances(zX, "cosine"), distances(zC, "cosine")];
        const plan = entropicPlan(dX, dC, { epsilon: absolute / scaleOf(dX, dC), ...thorough });
        return planCost(dX, dC, plan).add(plan.mul(plan.log()).sum().mul(absolute)).item();
      });
    const { gradX, gradC } = withGradients(entropic({ epsilon: 0.2, ...thorough }), x, c);
    expect(
      relativeError(
        gradX,
        numericalGradient((z) => optimum(z, c), x, 1e-4),
      ),
    ).toBeLessThan(1e-5);
    expect(
      relativeError(
        gradC,
        numericalGradient((z) => optimum(x, z), c, 1e-4),
      ),
    ).toBeLessThan(1e-5);
  });

  test.each(DISTANCES)(
    "comes near 0 for a space and itself, and stays far from it for two that differ, %s",
    (distance) => {
      for (const seed of [1, 2, 3]) {
        const [x, c] = [gaussian(seed, 12, 4), gaussian(seed + 10, 12, 4)];
        const estimator = entropic({ distance, epsilon: 0.005 });
        expect(estimateOf(estimator, x, x)).toBeLessThan(0.05 * estimateOf(estimator, x, c));
      }
    },
  );

  test("recognizes a space that was turned and shuffled", () => {
    const x = gaussian(1, 16, 3);
    const order = gaussian(2, 16).argsort();
    const [dX, dC] = [distances(x, "cosine"), distances(x.index_select(0, order), "cosine")];
    const plan = entropicPlan(dX, dC, { epsilon: 0.002 });
    expect([...plan.argmax(0).read("int64")]).toEqual([...order.read("int64")]);
    expect(planCost(dX, dC, plan).item()).toBeLessThan(1e-3);
  });

  test.each([1, 2, 3, 4])("costs no more than the independent coupling it starts from, seed %i", (seed) => {
    const [x, c] = [gaussian(seed, 14, 4), gaussian(seed + 50, 11, 3)];
    const independent = gaussian(1, 14, 11)
      .mul(0)
      .add(1 / (14 * 11));
    const start = planCost(distances(x, "cosine"), distances(c, "cosine"), independent).item();
    expect(estimateOf(entropic(), x, c)).toBeLessThan(start);
  });

  test.each(goldens("shuffled"))("comes close to POT's optimum for a shuffled space, $distance", (golden) => {
    const { distance, value } = golden;
    const [x, c] = [matrix(golden.zX), matrix(golden.zC)];
    const came = estimateOf(entropic({ distance, epsilon: 0.003 }), x, c);
    const wrong = estimateOf(paired({ distance }), x, c);
    expect(came).toBeGreaterThan(value * 0.99);
    expect(came - value).toBeLessThan(0.03 * wrong);
  });
});
