import { ops, tensor } from "@iqvae/torch";
import { expect, test } from "vitest";
import { distances } from "../../src/regularizer/distances.ts";
import { createRegularizer, meanColors, regularizerSchema } from "../../src/regularizer/index.ts";
import { regularizerTerm } from "../../src/stage1/regularizer-term.ts";

test("mean colors are means over the cells of a grid, with a one behind them", () => {
  const pictures = ops.aten.arange(0, 48, 1).div(48).reshape([1, 3, 4, 4]);
  const colors = meanColors(pictures, [2, 1]);
  expect(colors.shape).toEqual([1, 4, 2, 1]);
  const wanted = [3.5, 11.5, 19.5, 27.5, 35.5, 43.5].map((sum) => sum / 48);
  Array.from(colors.contiguous().read("float32")).forEach((value, i) => {
    expect(value).toBeCloseTo([...wanted, 1, 1][i]!, 6);
  });
  pictures.requiresGrad = true;
  expect(meanColors(pictures, [2, 2]).requiresGrad).toBe(false);
});

test("how bright a color is tells it from others, which its direction from gray would not", () => {
  const colors = [
    [1, -1, -1],
    [0.2, -0.2, -0.2],
    [0, 0, 0],
  ];
  const cells = tensor(colors).t().reshape([1, 3, 1, 3]);
  const apart = distances(meanColors(cells, [1, 3]).flatten(2).squeeze(0).t(), "cosine").read("float32");
  expect(apart[1]!).toBeGreaterThan(0.1); // red and dark red
  expect(apart[5]!).toBeGreaterThan(0.01); // dark red and gray
  expect(apart[2]!).toBeGreaterThan(apart[1]!);
});

test.each(["batch", "image"] as const)("as the term of a training they are compared within the %s", (pairs) => {
  const [image, picture] = [ops.aten.randn([3, 5, 2, 2]), ops.aten.randn([3, 3, 8, 8])];
  const config = regularizerSchema.parse({ estimator: "colors", pairs });
  const term = regularizerTerm(config as never, { model: undefined as never, size: 8 })!;
  const paired = createRegularizer({ estimator: "paired", pairs });
  expect(term.measure({ image, condition: image, picture }).item()).toBe(
    paired(image, meanColors(picture, [2, 2])).item(),
  );
});
