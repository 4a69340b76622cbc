import { describe, expect, test } from "vitest";
import { textOf } from "../../../src/conditions/index.ts";
import type { Config } from "../../../src/config/index.ts";
import { conditionSpec, type OpenImport, openDataset, type PairDataset } from "../../../src/data/index.ts";
import { importOf, jpeg, pairsOf, png, tree, wav } from "./trees.ts";

const gray = () => [90, 90, 90];
const problemsOf = ({ report }: PairDataset) =>
  Object.fromEntries(report!.problems.map(({ kind, count, named }) => [kind, [count, ...named.map((n) => n.pair)]]));

/** What every layout promises alike: what is known without opening it is what is opened. */
async function opened(request: OpenImport) {
  const { dataset } = await importOf(request);
  const condition = {
    ade20k: "semantic",
    "celebamask-hq": "semantic",
    deepfashion: "keypoints",
    "coco-stuff": "layout",
    "cub-200-2011": "text",
    "sub-urmp": "audio",
    images: "edges",
    folder: "",
  }[request.name];
  expect(conditionSpec({ length: 192, ...request, condition } as Config["data"])).toEqual(dataset.condition);
  return dataset;
}

test("ADE20K: its split, 150 classes and 0 for the rest", async () => {
  const picture = await jpeg(60, 40, (x) => (x < 30 ? [250, 0, 0] : [0, 0, 250]));
  const map = await png(60, 40, (x) => [x < 30 ? 0 : 150]);
  const path = tree({
    "objectInfo150.txt": "Idx\tRatio\n",
    "images/training/ADE_train_00000001.jpg": picture,
    "annotations/training/ADE_train_00000001.png": map,
    "images/training/ADE_train_00000002.jpg": picture,
    "annotations/training/ADE_train_00000002.png": await png(60, 40, () => [151]),
    "images/training/ADE_train_00000003.jpg": picture,
    "annotations/training/ADE_train_00000004.png": map,
    "images/validation/ADE_val_00000001.jpg": picture,
    "annotations/validation/ADE_val_00000001.png": map,
    "images/validation/ADE_val_00000002.jpg": picture,
    "annotations/validation/ADE_val_00000002.png": await png(40, 60, () => [1]),
  });
  const dataset = await opened({ name: "ade20k", path, size: 32 });
  expect(dataset.train.ids).toEqual(["training/ADE_train_00000001"]);
  expect(dataset.validation.ids).toEqual(["validation/ADE_val_00000001"]);
  const { images, conditions } = dataset.train.batch([0]);
  expect([...conditions.subarray(0, 32)]).toEqual([...Array(16).fill(0), ...Array(16).fill(150)]);
  expect(images[3 * 8]).toBeGreaterThan(200);
  expect(images[3 * 24 + 2]).toBeGreaterThan(200);
  expect(problemsOf(dataset)).toEqual({
    "missing partner": [2, "training/ADE_train_00000003", "training/ADE_train_00000004"],
    "unknown class or color": [1, "training/ADE_train_00000002"],
    "size mismatch": [1, "validation/ADE_val_00000002"],
  });
  expect(dataset.condition).toMatchObject({ kind: "semantic" });
  dataset.close();
});

test("CelebAMask-HQ: parts of a face are merged, later over earlier", async () => {
  // Masks are RGB files at half the size of the images.
  const rows = (from: number, to: number) => png(32, 32, (_, y) => (y >= from && y < to ? [255, 255, 255] : [0, 0, 0]));
  const [all, middle, top] = await Promise.all([rows(0, 24), rows(8, 16), rows(0, 12)]);
  const face = await jpeg(64, 64, gray);
  const files: Record<string, string | Buffer> = {};
  for (let n = 0; n < 30; n++) {
    const name = `CelebAMask-HQ-mask-anno/${Math.floor(n / 2000)}/${String(n).padStart(5, "0")}`;
    files[`CelebA-HQ-img/${n}.jpg`] = face;
    files[`${name}_skin.png`] = all;
    files[`${name}_nose.png`] = middle;
    files[`${name}_hair.png`] = top;
  }
  files["CelebA-HQ-img/2001.jpg"] = face;
  files["CelebAMask-HQ-mask-anno/1/02002_skin.png"] = all;
  files["CelebAMask-HQ-mask-anno/0/00003_beard.png"] = all;
  files["CelebAMask-HQ-mask-anno/0/00004_hair.png"] = await png(32, 32, () => [100, 100, 100]);
  files["CelebAMask-HQ-mask-anno/0/00005_skin.png"] = all.subarray(0, 50);
  const dataset = await opened({ name: "celebamask-hq", path: tree(files), size: 32 });
  expect(problemsOf(dataset)).toEqual({
    "missing partner": [2, "2001", "2002"],
    "unknown class or color": [2, "4", "CelebAMask-HQ-mask-anno/0/00003_beard.png"],
    "corrupt file": [1, "5"],
  });
  expect(dataset.train.length + dataset.validation.length).toBe(28);
  const { condition } = pairsOf(dataset).get("7")!;
  const column = [4, 10, 13, 20, 28].map((y) => condition[32 * y]!);
  const { classes } = dataset.condition as Extract<typeof dataset.condition, { kind: "semantic" }>;
  expect(column.map((label) => classes[label]!.name)).toEqual(["hair", "hair", "nose", "skin", "background"]);
  dataset.close();
});

test("CelebA-HQ, or any folder of pictures: edges are computed", async () => {
  const files: Record<string, string | Buffer> = { "deep/er/broken.jpg": "none", "notes.txt": "not looked at" };
  for (let n = 0; n < 20; n++)
    files[`celeba_hq/${n}.jpg`] = await jpeg(48, 48, (x) => (x < 24 ? [0, 0, 0] : [255, 255, 255]));
  const dataset = await opened({ name: "images", path: tree(files), size: 32 });
  expect(problemsOf(dataset)).toEqual({ "corrupt file": [1, "deep/er/broken.jpg"] });
  const { condition } = pairsOf(dataset).get("celeba_hq/7.jpg")!;
  expect([...condition.subarray(64, 96).keys()].filter((x) => condition[64 + x] === 1)).toEqual([
    expect.toBeOneOf([15, 16]),
  ]);
  dataset.close();
});

describe("DeepFashion in-shop", () => {
  const y = Array.from({ length: 18 }, (_, k) => (k === 3 ? -1 : 10 * k));
  const x = Array.from({ length: 18 }, (_, k) => (k === 3 ? -1 : 5 * k));
  const row = (name: string, rows: readonly number[] = y) => `${name}:${JSON.stringify(rows)}:${JSON.stringify(x)}`;
  const header = "name:keypoints_y:keypoints_x";
  const photos = async (...names: string[]) => {
    const photo = await jpeg(176, 256, gray);
    return Object.fromEntries(names.map((name) => [name, photo]));
  };

  test("the flattened names of pose transfer find their images; the lists' names say what is held out", async () => {
    const path = tree({
      ...(await photos(
        "img/WOMEN/Dresses/id_00000002/02_1_front.jpg",
        "img/MEN/Tees_Tanks/id_00000003/01_4_full.jpg",
        "img/MEN/Denim/id_00000004/01_4_full.jpg",
      )),
      "img/MEN/Denim/id_00000005/01_4_full.jpg": "no picture",
      "fasion-resize-annotation-train.csv": [
        header,
        row("fashionWOMENDressesid0000000202_1front.jpg"),
        row("fashionMENDenimid0000000501_4full.jpg"),
        row("fashionMENDenimid0000009901_4full.jpg"),
      ].join("\n"),
      "fasion-resize-annotation-test.csv": `${header}\r\n${row("fashionMENTees_Tanksid0000000301_4full.jpg")}\r\n`,
    });
    const dataset = await opened({ name: "deepfashion", path, size: 64 });
    expect(dataset.train.ids).toEqual(["img/WOMEN/Dresses/id_00000002/02_1_front.jpg"]);
    expect(dataset.validation.ids).toEqual(["img/MEN/Tees_Tanks/id_00000003/01_4_full.jpg"]);
    expect(problemsOf(dataset)).toEqual({
      "missing partner": [2, "fashionMENDenimid0000009901_4full.jpg", "img/MEN/Denim/id_00000004/01_4_full.jpg"],
      "corrupt file": [1, "img/MEN/Denim/id_00000005/01_4_full.jpg"],
    });
    // The middle square of 176 × 256 begins 40 rows down; what is above it, and what was −1, is hidden.
    const { conditions } = dataset.train.batch([0]);
    const at = (k: number) => [...conditions.subarray(3 * k, 3 * k + 3)];
    expect([at(0), at(3), at(4)]).toEqual([
      [0, 0, 0],
      [0, 0, 0],
      [29, 0, 1],
    ]);
    expect(at(10)).toEqual([Math.round((255 * 50) / 176), Math.round((255 * 60) / 176), 1]);
    dataset.close();
  });

  test("the benchmark's own partition goes first; bad lines are named", async () => {
    const names = ["id_00000001", "id_00000002", "id_00000003", "id_00000004"].map(
      (id) => `img/MEN/Denim/${id}/01_1_front.jpg`,
    );
    const path = tree({
      ...(await photos(...names)),
      "list_eval_partition.txt": `3\nimage_name item_id evaluation_status\n${names[0]} id_00000001 train\n${names[1]} id_00000002 query\n${names[2]} id_00000003 gallery\n`,
      "annotation.csv": [
        header,
        row(names[0]!),
        row(names[1]!, [...y, 1]),
        row(names[2]!),
        row(names[3]!),
        row(names[0]!),
      ].join("\n"),
    });
    const dataset = await opened({ name: "deepfashion", path, size: 32 });
    expect([dataset.train.ids, dataset.validation.ids]).toEqual([[names[0]], [names[2]]]);
    expect(problemsOf(dataset)).toEqual({
      "ambiguous partner": [1, names[0]],
      "bad annotation": [1, names[1]],
      "missing partner": [1, names[3]],
    });
    dataset.close();
  });

  test("without key points", async () => {
    const path = tree(await photos("img/MEN/Denim/id_00000001/01_1_front.jpg"));
    await expect(openDataset({ name: "deepfashion", path, size: 32 })).rejects.toThrow(
      "holds no file of key points. Put fasion-resize-annotation-train.csv and -test.csv there",
    );
  });
});

describe("COCO-Stuff", () => {
  const image = (id: number, over = {}) => ({
    id,
    file_name: `${String(id).padStart(12, "0")}.jpg`,
    width: 80,
    height: 60,
    ...over,
  });
  const box = (image_id: number, category_id: number, bbox: number[], over = {}) => ({
    image_id,
    category_id,
    bbox,
    iscrowd: 0,
    ...over,
  });
  const categories = [
    { id: 1, name: "person", supercategory: "person" },
    { id: 18, name: "dog", supercategory: "animal" },
  ];
  const three = (id: number) => [
    box(id, 18, [40, 30, 20, 15]),
    box(id, 1, [10, 0, 30, 30]),
    box(id, 1, [20, 40, 20.5, 20]),
    box(id, 1, [40, 0, 8, 8.9]), // 1.98 % of the square
    box(id, 18, [10, 0, 60, 60], { iscrowd: 1 }),
  ];

  test("things, and stuff where it lies there: 3 to 8 objects, cut to the middle", async () => {
    const photo = await jpeg(80, 60, gray);
    const path = tree({
      "annotations/instances_train2017.json": JSON.stringify({
        info: { description: 'a "text" with [brackets} and a \\', year: 2017 },
        images: [image(1), image(2), image(3), image(4, { width: 81 }), image(5), image(6)],
        licenses: [],
        annotations: [
          ...three(1),
          box(2, 1, [10, 0, 60, 60]),
          ...three(3),
          ...three(4),
          ...three(6),
          box(6, 77, [10, 0, 60, 60]),
          { id: 9 },
        ],
        categories,
      }),
      "annotations/stuff_train2017.json": JSON.stringify({
        images: [image(1)],
        annotations: [box(1, 157, [10, 0, 60, 20]), box(1, 183, [10, 0, 60, 60])],
        categories: [
          { id: 157, name: "sky-other" },
          { id: 183, name: "other" },
        ],
      }),
      "annotations/instances_val2017.json": JSON.stringify({ images: [image(7)], annotations: three(7), categories }),
      ...Object.fromEntries([1, 2, 3, 4, 6, 8].map((n) => [`train2017/${String(n).padStart(12, "0")}.jpg`, photo])),
      "val2017/000000000007.jpg": photo,
    });
    const dataset = await opened({ name: "coco-stuff", path, size: 32 });
    expect(dataset.train.ids).toEqual(["train2017/000000000001.jpg", "train2017/000000000003.jpg"]);
    expect(dataset.validation.ids).toEqual(["val2017/000000000007.jpg"]);
    expect(problemsOf(dataset)).toEqual({
      "missing partner": [2, "train2017/000000000005.jpg", "train2017/000000000008.jpg"],
      "bad annotation": [1, "annotations/instances_train2017.json 9"],
      "size mismatch": [1, "train2017/000000000004.jpg"],
      "too few or too many objects": [1, "train2017/000000000002.jpg"],
      "unknown class or color": [1, "train2017/000000000006.jpg"],
    });
    const { classes } = dataset.condition as Extract<typeof dataset.condition, { kind: "layout" }>;
    const { conditions } = dataset.train.batch([0]);
    const boxes = [0, 1, 2, 3, 4].map((n) => [...conditions.subarray(5 * n, 5 * n + 5)]);
    expect(boxes.map(([label = 0]) => classes[label - 1]?.name)).toEqual([
      "person",
      "person",
      "dog",
      "sky-other",
      undefined,
    ]);
    // [10, 0, 30, 30] of the square of 60 that begins at column 10.
    expect(boxes).toContainEqual([1, 0, 0, 128, 128]);
    dataset.close();
  });

  test.each([
    ["", "it holds no object"],
    ["[]", "it is not an object of lists"],
    ['{"images": [{"id": 1}', "it ends early"],
    ['{"images": [{"id": ]}', "Unexpected"],
    ['{"images": [{"id": nothing}]}', "Unexpected"],
    ['{"images": []} {}', "Unexpected"],
  ])("a file that holds %j", async (text, reason) => {
    const path = tree({ "annotations/instances_train2017.json": text, "train2017/1.jpg": "" });
    await expect(openDataset({ name: "coco-stuff", path, size: 32 })).rejects.toThrow(
      new RegExp(`instances_train2017.json is not JSON of annotations: ${reason}`),
    );
  });
});

test("CUB-200-2011: a pair for each caption, in its split", async () => {
  const captions = Array.from({ length: 10 }, (_, n) => `this bird has ${n} colors.`);
  const bird = await jpeg(50, 40, gray);
  const name = (n: number) => `001.Black_footed_Albatross/Black_Footed_Albatross_000${n}_18`;
  const path = tree({
    "images.txt": [1, 2, 3, 4].map((n) => `${n} ${name(n)}.jpg\n`).join(""),
    "train_test_split.txt": "1 1\n2 0\n3 1\n",
    "classes.txt": "1 001.Black_footed_Albatross\n",
    [`images/${name(1)}.jpg`]: bird,
    [`images/${name(2)}.jpg`]: bird,
    [`images/${name(3)}.jpg`]: bird,
    [`images/${name(4)}.jpg`]: bird,
    [`text_c10/${name(1)}.txt`]: `${captions.join("\n")}\n`,
    [`text_c10/${name(2)}.txt`]: `${[...captions.slice(0, 8), "very ".repeat(50)].join("\r\n")}`,
    [`text_c10/${name(4)}.txt`]: captions.join("\n"),
  });
  const dataset = await opened({ name: "cub-200-2011", path, size: 32 });
  expect([dataset.train.length, dataset.validation.length]).toEqual([10, 8]);
  expect(problemsOf(dataset)).toEqual({
    "bad annotation": [2, `${name(4)}.jpg`, `images/${name(2)}.jpg#9`],
    "missing partner": [1, `${name(3)}.jpg`],
    "text too long": [1, `images/${name(2)}.jpg#8`],
  });
  expect(textOf(pairsOf(dataset).get(`images/${name(1)}.jpg#3`)!.condition)).toBe("this bird has 3 colors.");
  dataset.close();
  await expect(
    openDataset({ name: "cub-200-2011", path: tree({ "images/a.jpg": "", "text/a.txt": "" }), size: 32 }),
  ).rejects.toThrow(/images\.txt/);
});

test("Sub-URMP: sounds and their players, in its split", async () => {
  const player = await jpeg(108, 192, gray);
  const path = tree({
    "img/train/violin/a_1.jpg": player,
    "chunk/train/violin/a_1.wav": wav(440, 0.5),
    "img/train/violin/a_2.jpg": player,
    "chunk/train/violin/a_2.wav": wav(440, 0.5).subarray(0, 200),
    "img/train/cello/a_1.jpg": player,
    "img/validation/cello/b_1.jpg": player,
    "chunk/validation/cello/b_1.wav": wav(200, 0.5),
    "chunk/validation/cello/b_2.wav": wav(200, 0.5),
  });
  const dataset = await opened({ name: "sub-urmp", path, size: 32 });
  expect([dataset.train.ids, dataset.validation.ids]).toEqual([["train/violin/a_1"], ["validation/cello/b_1"]]);
  expect(problemsOf(dataset)).toEqual({
    "missing partner": [2, "train/cello/a_1", "validation/cello/b_2"],
    "bad annotation": [1, "train/violin/a_2"],
  });
  expect(dataset.train.batch([0]).conditions).toContain(255);
  dataset.close();
});

test.each(["ade20k", "celebamask-hq", "deepfashion", "coco-stuff", "cub-200-2011", "sub-urmp", "images"] as const)(
  "%s: an empty folder, and none",
  async (name) => {
    await expect(openDataset({ name, path: tree({}), size: 32 })).rejects.toThrow(
      /is not there|no file|no pair can be used/,
    );
    await expect(openDataset({ name, path: "/nowhere", size: 32 })).rejects.toThrow(/\/nowhere.* is not there/);
  },
);
