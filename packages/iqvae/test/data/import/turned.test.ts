import sharp from "sharp";
import { expect, test } from "vitest";
import type { OpenImport } from "../../../src/data/index.ts";
import { chunkOf, withChunks } from "../../media/files.ts";
import { importOf, pairsOf, png, tree } from "./trees.ts";

/** An image that is red on the left, as it is stored. */
const turned = async (orientation: number, width = 40, height = 40) =>
  await sharp(await png(width, height, (x) => [x < width / 2 ? 250 : 0, 0, 0]))
    .withMetadata({ orientation })
    .jpeg()
    .toBuffer();
const map = (width = 40, height = 40) => png(width, height, (x) => [x < width / 2 ? 0 : 1]);
const open = (path: string, over: object) => importOf({ path, size: 32, ...over } as OpenImport);

const semantic = { name: "folder", condition: "semantic", classes: ["left", "right"] };

test.each([
  [2, 40, 40],
  [3, 60, 40],
  [6, 40, 40],
  [8, 60, 40],
])("an image of orientation %i whose map may lie over its stored pixels is left out", async (n, width, height) => {
  const path = tree({ "image/a.jpg": await turned(n, width, height), "condition/a.png": await map(width, height) });
  const message = new RegExp(`unsuitable format: 1\n.*image/a\\.jpg .* EXIF orientation ${n}, .*condition/a\\.png`);
  await expect(open(path, semantic)).rejects.toThrow(message);
  await expect(open(path, { name: "folder", condition: "lines" })).rejects.toThrow(message);
});

test("an image is turned where the shape of its map, or the map's own orientation, says so", async () => {
  const exif = chunkOf(
    await sharp(await turned(6))
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer(),
    "eXIf",
  );
  const both = withChunks(await map(), exif);
  const pairs: [Buffer, Buffer][] = [
    [await turned(6, 60, 40), await map(40, 60)],
    [await turned(6), both],
  ];
  const files = Array.from({ length: 24 }, (_, i) => [
    [`image/${i}.jpg`, pairs[i % 2]![0]],
    [`condition/${i}.png`, pairs[i % 2]![1]],
  ]);
  const { dataset } = await open(tree(Object.fromEntries(files.flat())), semantic);
  expect(dataset.report!.problems).toEqual([]);
  for (const [id, { image, condition }] of pairsOf(dataset)) {
    const [right, below] = [31, 32 * 31];
    // What was on the left is above.
    expect([0, right, below].map((at) => image[3 * at]! > 128)).toEqual([true, true, false]);
    expect([0, right, below].map((at) => condition[at])).toEqual(Number(id) % 2 === 0 ? [0, 1, 0] : [0, 0, 1]);
  }
  dataset.close();
});

const person = { image_id: 1, category_id: 1, bbox: [0, 0, 20, 20] };
const instances = JSON.stringify({
  images: [{ id: 1, file_name: "a.jpg", width: 40, height: 40 }],
  categories: [{ id: 1, name: "person" }],
  annotations: [person, person, person],
});
const points = JSON.stringify(Array(18).fill(9));

test.each<[string, (image: Buffer) => Promise<Record<string, string | Buffer>>]>([
  ["ade20k", async (image) => ({ "images/training/a.jpg": image, "annotations/training/a.png": await map() })],
  [
    "celebamask-hq",
    async (image) => ({
      "CelebA-HQ-img/0.jpg": image,
      "CelebAMask-HQ-mask-anno/0/00000_skin.png": await png(40, 40, (x) => [x < 20 ? 0 : 255]),
    }),
  ],
  ["coco-stuff", async (image) => ({ "annotations/instances_train2017.json": instances, "train2017/a.jpg": image })],
  [
    "deepfashion",
    async (image) => ({
      "img/a.jpg": image,
      "annotation-train.csv": `name:keypoints_y:keypoints_x\na.jpg:${points}:${points}\n`,
    }),
  ],
])("%s: an image that is to be turned is left out", async (name, files) => {
  await expect(open(tree(await files(await turned(3))), { name })).rejects.toThrow(
    /unsuitable format: 1\n.*\.jpg is to be turned by its EXIF orientation 3/,
  );
  await expect(open(tree(await files(await turned(1))), { name })).rejects.toThrow(/there is 1 pair to train on/);
});
