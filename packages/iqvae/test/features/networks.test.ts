import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { grad, liveTensors, noGrad, ops, scope, unscoped, writeSafetensors } from "@iqvae/torch";
import { expect, test } from "vitest";
import { INCEPTION_SHAPES, inception } from "../../src/features/inception.ts";
import { perceptualDistance } from "../../src/features/network.ts";
import { openFeatureNetwork } from "../../src/features/open.ts";
import { VGG16_SHAPES, vgg16 } from "../../src/features/vgg.ts";
import { toUnitRange } from "../../src/models/iqvae.ts";
import { golden, hashedWeights, relativeError } from "../metrics/goldens.ts";

test("VGG-16 with LPIPS heads gives the distance, the gradient and the features of the LPIPS package", () => {
  scope(() => {
    const network = unscoped(() => vgg16(hashedWeights(VGG16_SHAPES)));
    const [a, b] = [toUnitRange(golden("vgg/a")), toUnitRange(golden("vgg/b"))];
    a.requiresGrad = true;
    const distance = perceptualDistance(network, a, b);
    expect(relativeError(distance, golden("vgg/distance"))).toBeLessThan(1e-4);
    const [gradient] = grad([distance.sum()], [a]);
    expect(relativeError(gradient!, golden("vgg/gradient"))).toBeLessThan(1e-3);
    expect(relativeError(network.features(golden("vgg/a")), golden("vgg/features"))).toBeLessThan(1e-4);
    expect(network.dims).toBe(512);
  });
});

test("Inception-v3 gives the features of pytorch-fid, and its three inner blocks", () => {
  scope(() => {
    const network = unscoped(() => inception(hashedWeights(INCEPTION_SHAPES)));
    noGrad(() => {
      const pixels = golden("inception/pixels");
      const layers = network.layers(toUnitRange(pixels));
      for (let i = 0; i < 3; i++) {
        const mean = layers[i]!.activation.mean([2, 3]);
        expect(relativeError(mean, golden(`inception/block${i}`)), `block ${i}`).toBeLessThan(1e-4);
      }
      expect(relativeError(network.features(pixels), golden("inception/features"))).toBeLessThan(1e-4);
      expect(network.dims).toBe(2048);
    });
  });
});

test("a figure is only called official when the weights' file says where they come from", () => {
  const weights = hashedWeights(VGG16_SHAPES);
  expect(vgg16(weights).name).toBe("vgg16-lpips (weights 00000000)");
  const sources = [
    "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
  ];
  const named = (hashes: readonly string[]) =>
    vgg16({ ...weights, metadata: { sources_sha256: hashes.join(" ") } }).name;
  expect(named(sources)).toBe("vgg16-lpips");
  expect(named(sources.slice(1))).not.toBe("vgg16-lpips");
});

test("a file without the weights is refused with what is missing and what to do", async () => {
  const folder = mkdtempSync(join(tmpdir(), "iqvae-weights-"));
  const path = join(folder, "weights.safetensors");
  try {
    scope(() => writeSafetensors(path, new Map([["features.0.weight", ops.aten.zeros([64, 3, 5, 5])]])));
    await expect(openFeatureNetwork({ kind: "vgg16-lpips", path })).rejects.toThrow(
      /does not hold the weights of vgg16-lpips: 'features.0.weight' has shape \[64, 3, 5, 5\] instead of \[64, 3, 3, 3\]; 'features.0.bias' is missing.*and 27 more.*tools\/convert-weights.py vgg16-lpips/,
    );
    await expect(openFeatureNetwork({ kind: "inception-v3-fid", path: join(folder, "none") })).rejects.toThrow(/none/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("features leave no tensor behind but their result", () => {
  scope(() => {
    const network = unscoped(() => vgg16(hashedWeights(VGG16_SHAPES)));
    const pixels = golden("vgg/a");
    const before = liveTensors();
    noGrad(() => network.features(pixels)).dispose();
    expect(liveTensors()).toBe(before);
  });
});
