import { describe, expect, test } from "vitest";
import { describeImport } from "../../../src/data/import/problems.ts";
import type { OpenImport, PairDataset } from "../../../src/data/index.ts";
import { importOf, jpeg, pairsOf, png, put, tree } from "./trees.ts";

const problemsOf = ({ report }: PairDataset) =>
  Object.fromEntries(report!.problems.map(({ kind, named }) => [kind, named.map(({ pair }) => pair)]));

const photo = await jpeg(80, 60, (x, y) => [x, y, 0]);
const idsOf = ({ train, validation }: PairDataset) => [...train.ids, ...validation.ids].sort();

async function opened(request: OpenImport): Promise<PairDataset> {
  const { dataset } = await importOf(request);
  return dataset;
}

describe("COCO", () => {
  const three = (id: number | bigint, left: number) =>
    [left, left + 8, left + 16].map(
      (x) => `{"id": 1, "image_id": ${id}, "category_id": 1, "bbox": [${x}, 10, 20, 20]}`,
    );
  const image = (id: number | bigint | string, name: string, over = "") =>
    `{"id": ${id}, "file_name": "${name}", "width": 80, "height": 60${over}}`;
  const table = (images: string[], annotations: string[], categories = ['{"id": 1, "name": "dog"}']) =>
    `{"images": [${images}], "annotations": [${annotations}], "categories": [${categories}]}`;
  const validation = {
    "annotations/instances_val2017.json": table([image(5, "v.jpg")], three(5, 12)),
    "val2017/v.jpg": photo,
  };
  const train = (text: string, ...names: string[]) =>
    tree({
      ...validation,
      "annotations/instances_train2017.json": text,
      ...Object.fromEntries(names.map((name) => [`train2017/${name}`, photo])),
    });
  const coco = (path: string) => opened({ name: "coco-stuff", path, size: 32 });
  /** Where the first box of an image begins, in pixels. */
  const leftOf = (dataset: PairDataset, name: string) =>
    Math.round((pairsOf(dataset).get(`train2017/${name}`)!.condition[1]! * 60) / 255) + 10;

  test("annotations of another year, or put elsewhere, are not read: they hold the same photographs, in another split", async () => {
    const path = train(table([image(1, "a.jpg")], three(1, 12)), "a.jpg");
    put(path, {
      "annotations/instances_val2014.json": table([image(1, "COCO_val2014_a.jpg")], three(1, 12)),
      "val2014/COCO_val2014_a.jpg": photo,
      "annotations/instances_train2014.json": "no JSON",
      "annotations/old/instances_train2017.json": table([image(1, "a.jpg")], three(1, 30)),
    });
    const dataset = await coco(path);
    expect([dataset.train.ids, dataset.validation.ids]).toEqual([["train2017/a.jpg"], ["val2017/v.jpg"]]);
    expect(problemsOf(dataset)).toEqual({});
    dataset.close();
  });

  test("annotations of other years alone are named", async () => {
    const path = tree({ "annotations/instances_val2014.json": "{}", "annotations/stuff_train2017.json": "{}" });
    await expect(coco(path)).rejects.toThrow(
      /instances_train2017\.json .*annotations\/instances_val2014\.json, annotations\/stuff_train2017\.json/,
    );
  });

  test("ids beyond 2⁵³ stay apart", async () => {
    const [a, b, c] = [2n ** 53n, 2n ** 53n + 1n, 10n ** 30n + 1n];
    const path = train(
      table(
        [image(a, "a.jpg"), image(b, "b.jpg"), image(c, "c.jpg"), image("9.007199254740993e15", "d.jpg")],
        [...three(b, 20), ...three(a, 12), ...three(c, 30)],
      ),
      ...["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
    );
    const dataset = await coco(path);
    expect(["a.jpg", "b.jpg", "c.jpg"].map((name) => leftOf(dataset, name))).toEqual([12, 20, 30]);
    // An id that was rounded where it was written may be that of another image.
    expect(dataset.report!.problems).toMatchObject([
      { kind: "bad annotation", named: [{ reason: expect.stringContaining("a whole number") }] },
      { kind: "missing partner", named: [{ pair: "train2017/d.jpg" }] },
    ]);
    dataset.close();
  });

  test("images of one id, and ids of one image, are ambiguous; the same entry in two files is not", async () => {
    const path = train(
      table(
        [
          image(1, "a.jpg"),
          image(1, "b.jpg"),
          image(2, "c.jpg"),
          image(3, "c.jpg"),
          image(4, "d.jpg"),
          image(4, "d.jpg"),
        ],
        [1, 2, 3, 4].flatMap((id) => three(id, 12)),
      ),
      ...["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
    );
    const dataset = await coco(path);
    expect(dataset.train.ids).toEqual(["train2017/d.jpg"]);
    expect(problemsOf(dataset)).toEqual({
      "ambiguous partner": ["train2017/a.jpg", "train2017/b.jpg", "train2017/c.jpg"],
    });
    dataset.close();
  });

  test("crowds are left out, however they are marked", async () => {
    const crowd = (mark: string) =>
      `{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 0, 60, 60], "iscrowd": ${mark}}`;
    const path = train(
      table(
        [image(1, "a.jpg")],
        [
          ...three(1, 12),
          crowd("true"),
          crowd("1"),
          crowd('"yes"'),
          ...three(1, 30).map((each) => each.replace("}", ', "iscrowd": false}')),
        ],
      ),
      "a.jpg",
    );
    const dataset = await coco(path);
    const boxes = dataset.train.batch([0]).conditions;
    expect([0, 1, 2, 3, 4, 5, 6, 7].map((n) => boxes[5 * n]! > 0)).toEqual([...Array(6).fill(true), false, false]);
    expect(dataset.report!.problems).toMatchObject([
      { kind: "bad annotation", named: [{ reason: 'iscrowd is "yes", not 0 or 1' }] },
    ]);
    dataset.close();
  });

  test("a category of two names stands for none", async () => {
    const path = train(
      table(
        [image(1, "a.jpg"), image(2, "b.jpg")],
        [...three(1, 12), ...three(2, 12).map((each) => each.replace('"category_id": 1', '"category_id": 2'))],
        ['{"id": 1, "name": "dog"}', '{"id": 2, "name": "cat"}', '{"id": 2, "name": "dog"}'],
      ),
      ...["a.jpg", "b.jpg"],
    );
    const dataset = await coco(path);
    expect(dataset.report!.problems).toMatchObject([
      {
        kind: "unknown class or color",
        named: [{ pair: "train2017/b.jpg", reason: expect.stringContaining('category 2, called "cat" and "dog"') }],
      },
    ]);
    dataset.close();
  });
});

describe("names that are composed in different ways", () => {
  const [composed, decomposed] = ["caf\u00e9", "cafe\u0301"];

  test("a folder joins them, and refuses both forms of one", async () => {
    const map = await png(80, 60, () => [0]);
    const pairs = Array.from({ length: 12 }, (_, i) => [
      [`image/${composed}${i}.jpg`, photo],
      [`condition/${decomposed}${i}.png`, map],
    ]).flat() as [string, Buffer][];
    const path = tree({ ...Object.fromEntries(pairs), [`condition/${composed}3.png`]: map });
    const dataset = await opened({ name: "folder", path, size: 32, condition: "semantic", classes: ["a"] });
    expect(idsOf(dataset)).toEqual(
      Array.from({ length: 12 }, (_, i) => `${composed}${i}`)
        .filter((name) => name !== `${composed}3`)
        .sort(),
    );
    expect(problemsOf(dataset)).toEqual({ "ambiguous partner": [`${composed}3`] });
    dataset.close();
  });

  test("lists find their images", async () => {
    const captions = Array.from({ length: 10 }, () => "a bird").join("\n");
    const cub = await opened({
      name: "cub-200-2011",
      size: 32,
      path: tree({
        "images.txt": `1 ${composed}.jpg\n2 b.jpg\n`,
        "train_test_split.txt": "1 1\n2 0\n",
        [`images/${decomposed}.jpg`]: photo,
        [`text/${decomposed}.txt`]: captions,
        "images/b.jpg": photo,
        "text/b.txt": captions,
      }),
    });
    expect([cub.train.length, cub.validation.length, cub.report!.problems]).toEqual([10, 10, []]);
    for (const { ids } of [cub.train, cub.validation]) expect(new Set(ids.map(cub.facts!.picture!)).size).toBe(1);
    cub.close();
    const points = JSON.stringify(Array(18).fill(3));
    const fashion = await opened({
      name: "deepfashion",
      size: 32,
      path: tree({
        "annotation-train.csv": `${composed}.jpg:${points}:${points}`,
        "annotation-test.csv": `b.jpg:${points}:${points}`,
        [`${decomposed}.jpg`]: photo,
        "b.jpg": photo,
      }),
    });
    expect([fashion.train.length, fashion.validation.length, fashion.report!.problems]).toEqual([1, 1, []]);
    fashion.close();
  });
});

test("CelebAMask-HQ: numbers are compared as they are written, and each part has one mask", async () => {
  const mask = await png(60, 60, () => [255, 255, 255]);
  const face = await jpeg(60, 60, () => [90, 90, 90]);
  const big = ["9007199254740992", "9007199254740993"];
  const numbers = [...Array.from({ length: 20 }, (_, i) => String(i)), ...big];
  const path = tree({
    ...Object.fromEntries(numbers.map((n) => [`CelebA-HQ-img/${n}.jpg`, face])),
    ...Object.fromEntries(numbers.map((n) => [`CelebAMask-HQ-mask-anno/0/${n.padStart(5, "0")}_skin.png`, mask])),
    "CelebAMask-HQ-mask-anno/1/00003_skin.png": mask,
    "CelebA-HQ-img/04.jpg": face,
    "CelebAMask-HQ-mask-anno/0/00005_nose.png": await png(60, 60, () => [255, 0, 0]),
  });
  const dataset = await opened({ name: "celebamask-hq", path, size: 32 });
  expect(idsOf(dataset)).toEqual(numbers.filter((n) => !["3", "4", "5"].includes(n)).sort());
  expect(problemsOf(dataset)).toEqual({ "ambiguous partner": ["3", "4"], "unknown class or color": ["5"] });
  dataset.close();
});

test("CUB-200-2011: what lists give twice is ambiguous", async () => {
  const captions = Array.from({ length: 10 }, () => "a bird").join("\n");
  const files = ["a", "b", "c", "d", "e"].flatMap((name) => [
    [`images/${name}.jpg`, photo],
    [`text/${name}.txt`, captions],
  ]) as [string, string | Buffer][];
  const path = tree({
    ...Object.fromEntries(files),
    "images.txt": "1 a.jpg\n1 b.jpg\n2 c.jpg\n3 c.jpg\n4 d.jpg\n5 e.jpg\n",
    "train_test_split.txt": "1 1\n2 1\n3 1\n4 1\n5 0\n4 0\n6 1\n",
  });
  await expect(opened({ name: "cub-200-2011", path, size: 32 })).rejects.toThrow(
    /none to train on[\s\S]*ambiguous partner: 3\n {4}a\.jpg: images\.txt gives image 1 several times[\s\S]*train_test_split\.txt says 1 and 0 of image 4/,
  );
});

test("DeepFashion: images of one name, and images in both parts, are ambiguous", async () => {
  const points = JSON.stringify(Array(18).fill(3));
  const rows = ["ab.jpg", "c.jpg", "d.jpg", "e.jpg"].map((name) => `${name}:${points}:${points}`).join("\n");
  const path = tree({
    ...Object.fromEntries(["ab.jpg", "x/a_b.jpg", "c.jpg", "d.jpg", "e.jpg"].map((name) => [name, photo])),
    "annotation.csv": rows,
    "train.lst": "ab.jpg\nc.jpg\nd.jpg\n",
    "test.lst": "e.jpg\nc.jpg\n",
  });
  const dataset = await opened({ name: "deepfashion", path, size: 32 });
  expect([dataset.train.ids, dataset.validation.ids]).toEqual([["d.jpg"], ["e.jpg"]]);
  expect(problemsOf(dataset)).toEqual({ "ambiguous partner": ["ab.jpg", "c.jpg", "x/a_b.jpg"] });
  dataset.close();
});

test("a single pair is told as one", () => {
  const report = { data: "folder", path: "own", validation: 1, problems: [] };
  expect(describeImport({ ...report, train: 1 })).toContain("own: 1 pair for training, 1 held out");
  expect(describeImport({ ...report, train: 2 })).toContain("own: 2 pairs for training, 1 held out");
});
