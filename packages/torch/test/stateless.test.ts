import { AdaptiveAvgPool2d, Flatten, LeakyReLU, ops, tensor, Upsample } from "@iqvae/torch";
import { expect, test } from "vitest";
import { readGoldens } from "./goldens.ts";
import { checkLayer, type Subject } from "./layer-check.ts";

const goldens = readGoldens("modules.safetensors");

test.each<[string, () => Subject]>([
  ["LeakyReLU", () => new LeakyReLU(0.2)],
  ["AdaptiveAvgPool2d", () => new AdaptiveAvgPool2d([3, 2])],
  ["AdaptiveAvgPool2d to more", () => new AdaptiveAvgPool2d(5)],
  ["Upsample", () => new Upsample({ scaleFactor: 1.7 })],
  ["Upsample to less", () => new Upsample({ scaleFactor: 0.6 })],
  ["Upsample, bilinear", () => new Upsample({ scaleFactor: 1.7, mode: "bilinear" })],
  ["Upsample, bilinear to less", () => new Upsample({ scaleFactor: 0.6, mode: "bilinear" })],
  ["Upsample, corners aligned", () => new Upsample({ scaleFactor: 1.7, mode: "bilinear", alignCorners: true })],
  [
    "Upsample, corners aligned, to less",
    () => new Upsample({ scaleFactor: 0.6, mode: "bilinear", alignCorners: true }),
  ],
])("%s is PyTorch's, forward and backward", (name, make) => {
  checkLayer(goldens.get(name)!, make(), { name });
});

test("Flatten joins all dimensions but the first, or those that it is told", () => {
  const x = ops.aten.ones([2, 3, 4, 5]);
  const shapes = [new Flatten(), new Flatten(0), new Flatten(1, 2)].map((flatten) => flatten.forward(x).shape);
  expect(shapes).toEqual([[2, 60], [120], [2, 12, 5]]);
});

const ramp = (h: number, w: number) => ops.aten.arange(h * w, { dtype: "float32" }).reshape([1, 1, h, w]);

test("LeakyReLU keeps a part of what is negative, forward and backward", () => {
  const x = tensor([-4, -1, 2], { requiresGrad: true });
  const y = new LeakyReLU(0.25).forward(x);
  y.sum().backward();
  expect([y.tolist(), x.grad!.tolist()]).toEqual([
    [-1, -0.25, 2],
    [0.25, 0.25, 1],
  ]);
  expect(new LeakyReLU().forward(x).equal(ops.aten.where(x.gt(0), x, x.mul(0.01)))).toBe(true);
  expect(() => new LeakyReLU({ slope: 0.2 } as never)).toThrow(/LeakyReLU: negativeSlope must be a number/);
});

test("AdaptiveAvgPool2d takes the means of parts, which share rows where the size does not divide", () => {
  const x = ramp(3, 4);
  expect(new AdaptiveAvgPool2d(1).forward(x).tolist()).toEqual([[[[5.5]]]]);
  // Rows 0 and 1, then 1 and 2; columns two by two.
  expect(new AdaptiveAvgPool2d(2).forward(x).flatten().tolist()).toEqual([2.5, 4.5, 6.5, 8.5]);
  expect(new AdaptiveAvgPool2d(2).forward(x).shape).toEqual([1, 1, 2, 2]);
  expect(new AdaptiveAvgPool2d([3, 1]).forward(x).flatten().tolist()).toEqual([1.5, 5.5, 9.5]);
});

test("Upsample repeats values, or goes from one to the next with corners not aligned", () => {
  const x = ramp(2, 3);
  const repeated = x.repeat_interleave(2, 2).repeat_interleave(2, 3);
  expect(new Upsample({ scaleFactor: 2 }).forward(x).equal(repeated)).toBe(true);
  const between = new Upsample({ scaleFactor: 2, mode: "bilinear" }).forward(ramp(1, 3));
  expect(between.tolist()).toEqual([
    [
      Array(2)
        .fill([[0, 0.25, 0.75, 1.25, 1.75, 2]])
        .flat(),
    ],
  ]);
});

test("Upsample names what it cannot take", () => {
  expect(() => new Upsample({ scaleFactor: 0 })).toThrow(/scaleFactor must be a number above 0, but is 0/);
  expect(() => new Upsample({ scaleFactor: 2, mode: "cubic" as never })).toThrow(
    /"nearest" or "bilinear", but is "cubic"/,
  );
  expect(() => new Upsample({ scaleFactor: 2, alignCorners: true })).toThrow(
    /is for mode "bilinear", but .* "nearest"/,
  );
  expect(() => new Upsample({ scale_factor: 2 } as never)).toThrow(/did you mean 'scaleFactor'/);
});
