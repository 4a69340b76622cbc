import { noGrad, scope, tensor, unscoped } from "@iqvae/torch";
import { expect, test } from "vitest";
import { AttributesNetwork, attributesFeatures } from "../../src/features/attributes.ts";
import { efficientNetLite0, LITE0_SHAPES } from "../../src/features/efficientnet.ts";
import { HED_SHAPES, hed } from "../../src/features/hed.ts";
import { perceptualDistance } from "../../src/features/network.ts";
import { VGG16_SHAPES, vgg16 } from "../../src/features/vgg.ts";
import { diversity } from "../../src/metrics/diversity.ts";
import { psnr, ssim } from "../../src/metrics/reconstruction.ts";
import { toUnitRange } from "../../src/models/iqvae.ts";
import { perceptualLoss } from "../../src/stage1/perceptual.ts";
import { seededRandom } from "../../src/support/random.ts";
import { golden, hashedWeights, numbers, relativeError } from "./goldens.ts";

const random = seededRandom("images");
const bytes = (count: number, size: number) =>
  tensor(
    Uint8Array.from({ length: count * size * size * 3 }, () => Math.floor(random() * 256)),
    { shape: [count, size, size, 3] },
  );

test("PSNR and SSIM agree with scikit-image", () => {
  const [a, b] = [golden("pixels/a"), golden("pixels/b")];
  expect(relativeError(psnr(a, b), golden("pixels/psnr"))).toBeLessThan(1e-12);
  expect(relativeError(ssim(a, b), golden("pixels/ssim"))).toBeLessThan(1e-12);
  expect(numbers(psnr(a, a))).toEqual([Infinity, Infinity, Infinity]);
  expect(numbers(ssim(a, a))).toEqual([1, 1, 1].map((one) => expect.closeTo(one, 12)));
});

test("PSNR and SSIM say what they take", () => {
  expect(() => psnr(bytes(1, 16), bytes(2, 16))).toThrow(/two batches of pixels, uint8 \[B, H, W, 3\], but got/);
  expect(() => ssim(bytes(1, 10), bytes(1, 10))).toThrow(/at least 11 × 11 pixels/);
  expect(() => ssim(bytes(1, 16).to("float32"), bytes(1, 16))).toThrow(/uint8/);
});

test.each([
  [
    "attributes",
    () => attributesFeatures(new AttributesNetwork([{ name: "hair", classes: 3 }], 13), "attributes-test", ""),
  ],
  ["LPIPS", () => vgg16(hashedWeights(VGG16_SHAPES))],
  ["HED", () => hed(hashedWeights(HED_SHAPES))],
  ["EfficientNet-Lite0", () => efficientNetLite0(hashedWeights(LITE0_SHAPES))],
])("diversity is the mean distance of all pairs (%s)", (_, make) => {
  scope(() =>
    noGrad(() => {
      const network = unscoped(make);
      const pixels = bytes(4, 32);
      const planes = toUnitRange(pixels);
      const pair = (i: number, j: number) =>
        perceptualDistance(network, planes.slice(0, i, i + 1), planes.slice(0, j, j + 1)).item();
      const pairs = [pair(0, 1), pair(0, 2), pair(0, 3), pair(1, 2), pair(1, 3), pair(2, 3)];
      const mean = pairs.reduce((a, b) => a + b) / 6;
      expect(diversity(network, pixels) / mean).toBeCloseTo(1, 4);
      const same = pixels.slice(0, 0, 1).expand([4, 32, 32, 3]);
      expect(diversity(network, same)).toBeLessThan(1e-6 * mean);
      expect(() => diversity(network, pixels.slice(0, 0, 1))).toThrow(/at least 2 images/);
    }),
  );
});

test("the perceptual distance has a gradient in its first image alone, and none in the weights", () => {
  scope(() => {
    const module = new AttributesNetwork([{ name: "hair", classes: 3 }], 13);
    const network = attributesFeatures(module, "attributes-test", "");
    const [a, b] = [toUnitRange(bytes(2, 32)), toUnitRange(bytes(2, 32))];
    a.requiresGrad = true;
    b.requiresGrad = true;
    const distance = perceptualDistance(network, a, b);
    expect(distance.shape).toEqual([2]);
    expect(perceptualLoss(network)(a, b).item()).toBeCloseTo(distance.mean().item(), 6);
    distance.sum().backward();
    expect(a.grad!.abs().sum().item()).toBeGreaterThan(0);
    expect(b.grad).toBeUndefined();
    expect([...module.stateDict().values()].every((weight) => weight.grad === undefined)).toBe(true);
    expect(() => perceptualDistance(network, a, b.slice(0, 0, 1))).toThrow(/equal shape/);
  });
});
