import { rmSync } from "node:fs";
import { colorEdges } from "@iqvae/runtime";
import sharp from "sharp";
import { expect, it } from "vitest";
import { textOf } from "../../../src/conditions/index.ts";
import { type OpenPhotographs, openDataset } from "../../../src/data/index.ts";
import { CIFAR10 } from "../../../src/data/sets/cifar10/packages.ts";
import { packageFolderOf } from "../../../src/support/packages.ts";
import { seededRandom } from "../../../src/support/random.ts";
import { temporaryCache, unpackInto } from "./photographs.ts";

const BYTES = 32 * 32 * 3;

/** Photograph number `i` of a file: noise, so that each is another one, with a bright square. */
function photograph(file: string, i: number): Uint8Array {
  const random = seededRandom(file, i);
  return Uint8Array.from({ length: BYTES }, (_, at) => {
    const [x, y] = [Math.floor(at / 3) % 32, Math.floor(at / 96)];
    return Math.floor(random() * 8) + (x > 8 && x < 20 && y > 8 && y < 24 ? 200 : 40);
  });
}

/** A file as it is packed, but shorter: a PNG with a photograph in each row. */
async function batchFile(file: string, count: number): Promise<Buffer> {
  const bytes = Buffer.concat(Array.from({ length: count }, (_, i) => photograph(file, i)));
  return await sharp(bytes, { raw: { width: 1024, height: count, channels: 3 } })
    .png()
    .toBuffer();
}

const LABELS = { train: [6, 9, 9, 4, 1, 1, 2, 7, 8, 3], test: [3, 8, 8, 0] };

async function cacheWithCifar10(labels = LABELS): Promise<string> {
  const cache = temporaryCache();
  const trained = CIFAR10.files!.slice(0, 5);
  unpackInto(cache, CIFAR10, {
    ...Object.fromEntries(await Promise.all(trained.map(async (file) => [file, await batchFile(file, 2)] as const))),
    "test_batch.png": await batchFile("test_batch.png", 4),
    "train_lables.json": JSON.stringify(labels.train),
    "test_lables.json": JSON.stringify(labels.test),
  });
  return cache;
}

const open = (cacheDir: string, condition: "text" | "edges", request: Partial<OpenPhotographs> = {}) =>
  openDataset({ name: "cifar10", condition, size: 32, cacheDir, ...request });

it("has each photograph with the name of its class, in the split of CIFAR-10", async () => {
  const dataset = await open(await cacheWithCifar10(), "text");
  const names = "frog truck truck deer automobile automobile bird horse ship cat".split(" ");
  expect(dataset.train.ids).toEqual(names.map((name, i) => `train/${name}/${i}`));
  expect(dataset.validation.ids).toEqual(["test/cat/0", "test/ship/1", "test/ship/2", "test/airplane/3"]);
  const { images, conditions } = dataset.train.batch([...names.keys()]);
  names.forEach((name, i) => {
    expect(textOf(conditions.subarray(32 * i, 32 * i + 32))).toBe(name);
    const file = CIFAR10.files![Math.floor(i / 2)]!;
    expect(images.subarray(i * BYTES, (i + 1) * BYTES)).toEqual(photograph(file, i % 2));
  });
  dataset.close();
});

it("has the edges of each photograph", async () => {
  const dataset = await open(await cacheWithCifar10(), "edges");
  expect(dataset.facts!.edgesOfImage).toBe(true);
  const { images, conditions } = dataset.validation.batch([2]);
  expect(images).toEqual(photograph("test_batch.png", 2));
  expect(conditions).toEqual(colorEdges(images, 32));
  expect(conditions.some((edge) => edge === 1)).toBe(true);
  dataset.close();
});

it("takes all photographs of a class and a half for true images of its name", async () => {
  const dataset = await open(await cacheWithCifar10(), "text");
  const { trueImages, concept } = dataset.facts!;
  expect(concept!("test/ship/1")).toBe(concept!("train/ship/8"));
  const drawn = await trueImages!("test/ship/1", 40, 32, seededRandom("test"));
  const shown = Array.from({ length: 40 }, (_, i) =>
    [0, 1, 2, 3].find((j) =>
      Buffer.from(photograph("test_batch.png", j)).equals(drawn.subarray(i * BYTES, (i + 1) * BYTES)),
    ),
  );
  expect(new Set(shown)).toEqual(new Set([1, 2]));
  await expect(trueImages!("ship", 1, 32, seededRandom("test"))).rejects.toThrow('got "ship"');
  dataset.close();
});

it("is fetched only when asked for, and says of its license what is unclear", async () => {
  const refused = open(temporaryCache(), "text");
  await expect(refused).rejects.toThrow("npx iqvae data cifar10 --fetch");
  await expect(refused).rejects.toThrow("its license is unclear");
  await expect(open(temporaryCache(), "text", { size: 64 })).rejects.toThrow("size of cifar10 must be 32, not 64");
});

it("needs its package no more once its pairs are drawn", async () => {
  const cache = await cacheWithCifar10();
  (await open(cache, "text")).close();
  rmSync(packageFolderOf(CIFAR10, cache), { recursive: true });
  const dataset = await open(cache, "text");
  expect(dataset.train.batch([9]).images).toEqual(photograph("data_batch_5.png", 1));
  await expect(dataset.facts!.trueImages!("test/ship/1", 1, 32, seededRandom("test"))).rejects.toThrow("--fetch");
  dataset.close();
});

it("says when labels and photographs are not equally many", async () => {
  const cache = await cacheWithCifar10({ ...LABELS, test: [1] });
  await expect(open(cache, "text")).rejects.toThrow("has 1 labels, but the files beside it have 4 photographs");
});
