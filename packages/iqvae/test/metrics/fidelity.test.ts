import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getRngState, liveTensors, type Module, scope, tensor, writeSafetensors } from "@iqvae/torch";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { settledTensors } from "../../../torch/test/collect.ts";
import { openDataset } from "../../src/data/index.ts";
import { attributeLabels } from "../../src/features/attribute-labels.ts";
import { sha256Of } from "../../src/features/shipped.ts";
import { type NetworkTraining, trainedNetwork } from "../../src/features/train-network.ts";
import { fidelityOf } from "../../src/metrics/fidelity/fidelity.ts";
import { lineF1, meanIou } from "../../src/metrics/fidelity/overlap.ts";
import { ConditionReader } from "../../src/metrics/fidelity/reader.ts";
import { imageSet } from "../../src/metrics/image-set.ts";
import { silent } from "../../src/support/progress.ts";

const folder = mkdtempSync(join(tmpdir(), "iqvae-metrics-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("mean IoU", () => {
  test("by hand", () => {
    // Class 0: 1 of 3; class 1: 2 of 3; class 2 is in neither; class 3 was drawn and not asked for.
    expect(meanIou(Uint8Array.of(0, 1, 1, 1, 3), Uint8Array.of(0, 0, 1, 1, 0), 4)).toBeCloseTo((1 / 3 + 2 / 3 + 0) / 3);
  });

  test("is 1 for equal maps alone", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 40, max: 3 }), fc.nat(39), (map, at) => {
        expect(meanIou(map, map, 4)).toBe(1);
        const other = map.slice();
        const i = at % map.length;
        other[i] = (map[i]! + 1) % 4;
        expect(meanIou(other, map, 4)).toBeLessThan(1);
      }),
    );
  });

  test("is 1 where nothing is compared", () => expect(meanIou(new Uint8Array(0), new Uint8Array(0), 4)).toBe(1));

  test("names what is no class", () => {
    expect(() => meanIou(Uint8Array.of(0), Uint8Array.of(7), 4)).toThrow(
      /pixel 0 holds 0 and 7, but there are 4 classes/,
    );
    expect(() => meanIou(Uint8Array.of(0), Uint8Array.of(0, 1), 4)).toThrow(/equal length, not of 1 and 2/);
  });
});

describe("line F1", () => {
  const raster = (side: number, ...pixels: [number, number][]) => {
    const out = new Uint8Array(side * side);
    for (const [x, y] of pixels) out[y * side + x] = 1;
    return out;
  };

  test("forgives one pixel, in any direction, and not two", () => {
    const truth = raster(6, [2, 2]);
    for (const [x, y] of [
      [2, 2],
      [1, 1],
      [3, 1],
      [2, 3],
    ] as [number, number][])
      expect(lineF1(raster(6, [x, y]), truth, 6)).toBe(1);
    expect(lineF1(raster(6, [4, 2]), truth, 6)).toBe(0);
    // The border does not wrap around.
    expect(lineF1(raster(6, [5, 1], [2, 4]), raster(6, [0, 2], [2, 4]), 6)).toBe(0.5);
  });

  test("weighs what is drawn too much against what is missing", () => {
    // Precision 1/2, recall 1/3.
    const drawn = raster(9, [0, 0], [8, 8]);
    const truth = raster(9, [0, 0], [4, 4], [0, 8]);
    expect(lineF1(drawn, truth, 9)).toBeCloseTo((2 * (1 / 2) * (1 / 3)) / (1 / 2 + 1 / 3));
    expect(lineF1(raster(3), raster(3), 3)).toBe(1);
    expect(lineF1(raster(3), raster(3, [0, 0]), 3)).toBe(0);
  });

  test("neighbors of another image do not count", () => {
    const two = (a: Uint8Array, b: Uint8Array) => Uint8Array.from([...a, ...b]);
    expect(lineF1(two(raster(3, [1, 2]), raster(3)), two(raster(3), raster(3, [1, 0])), 3)).toBe(0);
  });
});

test("edges of emoji are found again in their images, and not in others", async () => {
  const dataset = await openDataset({ name: "emoji", condition: "edges", size: 32 });
  try {
    const rows = Array.from({ length: 40 }, (_, i) => i);
    const { images, conditions } = dataset.validation.batch(rows);
    const fidelity = (await fidelityOf(dataset, { progress: silent }))!;
    expect(fidelity.networks).toEqual({});
    const own = fidelity.score(imageSet(images, 32), conditions);
    expect(own).toEqual([{ key: "fidelity", label: "edge F1", value: 1, better: "higher" }]);
    const shifted = dataset.validation.batch(rows.map((row) => row + 100));
    expect(fidelity.score(imageSet(shifted.images, 32), conditions)[0]!.value).toBeLessThan(0.7);
  } finally {
    dataset.close();
  }
});

test("attributes name every pair of both sets", async () => {
  const faces = attributeLabels("faces");
  const labels = faces.of("face-0-3");
  expect(labels.length).toBe(faces.attributes.length);
  labels.forEach((label, i) => {
    expect(label, faces.attributes[i]!.name).toBeGreaterThanOrEqual(0);
    expect(label).toBeLessThan(faces.attributes[i]!.classes);
  });
  const emoji = await openDataset({ name: "emoji", condition: "edges", size: 32 });
  const { attributes, of } = attributeLabels("emoji");
  const ids = [...emoji.train.ids, ...emoji.validation.ids];
  emoji.close();
  const groups = ids.map((id) => of(id)[1]!);
  expect(groups.filter((group) => group < 0).length / ids.length).toBeLessThan(0.02);
  expect(new Set(groups.filter((group) => group >= 0)).size).toBe(attributes[1]!.classes);
  expect(of("cat/noto/cat")).toEqual(of("cat/noto/cat"));
});

describe("networks that the program trains", () => {
  const training = (name: string): NetworkTraining<Module> => ({
    name,
    parts: {},
    steps: 12,
    batch: 4,
    rate: 1e-3,
    create: () => new ConditionReader(13, [8, 16]),
    openData: () => openDataset({ name: "faces", condition: "semantic", size: 32, count: 40, cacheDir: folder }),
    loss: (network, dataset, rows) => {
      const planes = tensor(dataset.train.batch(rows).images, { shape: [rows.length, 32, 32, 3] })
        .to("float32")
        .permute([0, 3, 1, 2]);
      return (network as ConditionReader).forward(planes.div(255)).to("float32").square().mean();
    },
    evaluate: () => ({ something: 0.5 }),
    progress: silent,
    cacheDir: folder,
  });
  const file = () => {
    const networks = join(folder, "networks");
    return join(networks, readdirSync(networks).find((name) => name.startsWith("reader-test"))!);
  };

  test("are trained once and then come from the cache with the same weights", async () => {
    const first = await trainedNetwork(training("reader-test"));
    expect(first.figures).toEqual({ something: 0.5 });
    expect(existsSync(file())).toBe(true);
    const never = () => Promise.reject(new Error("trained again"));
    const second = await trainedNetwork({ ...training("reader-test"), openData: never });
    expect(second.digest).toBe(first.digest);
    expect(second.figures).toEqual(first.figures);
    const [a, b] = [first, second].map(({ network }) => [...network.stateDict().values()].map((x) => x.sum().item()));
    expect(a).toEqual(b);
  });

  test("are trained anew, with a word, when the file is damaged or the recipe is another", async () => {
    const before = await trainedNetwork(training("reader-test"));
    const said: string[] = [];
    const progress = { ...silent, tell: (text: string) => said.push(text) };
    writeFileSync(file(), "nonsense");
    const again = await trainedNetwork({ ...training("reader-test"), progress });
    expect(said.join("\n")).toMatch(/not a usable safetensors file.*trained anew/s);
    expect(again.digest).toBe(before.digest);
    const other = await trainedNetwork({ ...training("reader-test"), steps: 13 });
    expect(other.digest).not.toBe(before.digest);
  });

  test("come with the program where their hash and recipe fit, and are trained, with a word, where not", async () => {
    const { network, recipe, digest: trained } = await trainedNetwork(training("reader-test"));
    const shipped = join(folder, "shipped");
    const [weights, description] = ["safetensors", "json"].map((ending) => join(shipped, `reader-test.${ending}`));
    mkdirSync(shipped, { recursive: true });
    scope(() => {
      const half = [...network.stateDict()].map(([name, x]) => [name, x.detach().to("float16")] as const);
      writeSafetensors(weights!, new Map(half));
    });
    const about = { sha256: sha256Of(weights!), recipe, trainedWith: {}, figures: { something: 0.25 } };
    const open = async (over: object = {}) => {
      const said: string[] = [];
      const progress = { ...silent, tell: (text: string) => said.push(text) };
      writeFileSync(description!, JSON.stringify({ ...about, ...over }));
      return { ...(await trainedNetwork({ ...training("reader-test"), shipped, progress })), said: said.join("\n") };
    };
    const found = await open();
    expect(found).toMatchObject({ digest: about.sha256, figures: { something: 0.25 }, said: "" });
    const values = ({ network }: { network: Module }) =>
      scope(() => [...network.stateDict().values()].flatMap((x) => [...x.detach().reshape([-1]).read("float32")]));
    const [own, opened] = [values({ network }), values(found)];
    own.forEach((value, i) => {
      expect(Math.abs(opened[i]! - value)).toBeLessThanOrEqual(Math.abs(value) / 1024 + 1e-7);
    });

    const other = await open({ recipe: { ...recipe, steps: 13 } });
    expect(other.digest).toBe(trained);
    expect(other.said).toMatch(/reader-test\.safetensors was trained by another recipe.*trained on this machine/s);
    const damaged = await open({ sha256: "0".repeat(64) });
    expect(damaged.digest).toBe(trained);
    expect(damaged.said).toMatch(/reader-test\.safetensors has the SHA-256 [0-9a-f]{64} in place of 0{64}/);
  });

  test("leave the random numbers of others alone, and no tensor but the weights when they come from the cache", async () => {
    const random = getRngState();
    const { network: trained } = await trainedNetwork(training("reader-leak"));
    expect(getRngState()).toEqual(random);
    expect([...trained.namedParameters().values()].every((weight) => weight.grad === undefined)).toBe(true);
    const before = await settledTensors();
    const { network } = await trainedNetwork(training("reader-leak"));
    expect(liveTensors() - before).toBe(network.stateDict().size);
  });
});
