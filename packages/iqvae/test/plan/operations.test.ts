import { grad, noGrad, ops, scope, type Tensor } from "@iqvae/torch";
import { expect, test } from "vitest";
import { countOperations } from "../../src/plan/operations.ts";

const { aten } = ops;

function made(shape: readonly number[], requiresGrad: boolean): Tensor {
  const x = aten.ones(shape, { device: "meta" });
  x.requiresGrad = requiresGrad;
  return x;
}

/** A product, its operands, and its multiplications. */
const PRODUCTS: readonly [string, number[], number[], number, (a: Tensor, b: Tensor) => Tensor][] = [
  ["conv2d", [2, 6, 8, 8], [4, 6, 3, 3], 2 * 4 * 4 * 4 * 6 * 9, (x, w) => aten.conv2d(x, w, null, [2, 2], [1, 1])],
  ["linear", [2, 5, 6], [7, 6], 2 * 5 * 7 * 6, (x, w) => aten.linear(x, w)],
  ["mm", [5, 6], [6, 7], 5 * 7 * 6, (a, b) => a.mm(b)],
  ["bmm", [2, 5, 6], [2, 6, 7], 2 * 5 * 7 * 6, (a, b) => a.bmm(b)],
  ["matmul", [2, 5, 6], [6, 7], 2 * 5 * 7 * 6, (a, b) => a.matmul(b)],
  ["baddbmm", [2, 5, 6], [2, 6, 7], 2 * 5 * 7 * 6, (a, b) => aten.baddbmm(made([5, 7], true).expand([2, 5, 7]), a, b)],
];

test.each(PRODUCTS)(
  "%s counts two for each multiplication, and the way back to each side",
  (_, a, b, expected, call) => {
    scope(() => {
      const count = (left: boolean, right: boolean) => countOperations(() => void call(made(a, left), made(b, right)));
      expect(count(true, true)).toEqual({ forward: 2 * expected, backward: 4 * expected });
      expect(count(false, true)).toEqual({ forward: 2 * expected, backward: 2 * expected });
      expect(noGrad(() => count(true, true))).toEqual({ forward: 2 * expected, backward: 0 });
    });
  },
);

test("elementwise work and the way back itself are not counted", () => {
  scope(() => {
    const x = made([5, 6], true);
    const product = x.mm(made([6, 5], true)).sum();
    expect(countOperations(() => void grad([product.add(x.square().sum())], [x]))).toEqual({ forward: 0, backward: 0 });
  });
});
