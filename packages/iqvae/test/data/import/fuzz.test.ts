import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PairProblem, Problems } from "../../../src/data/import/problems.ts";
import { FileTree } from "../../../src/data/import/readers/file-tree.ts";
import { type ListElement, readLists } from "../../../src/data/import/readers/json-lists.ts";
import { type ImportRequest, importSchema } from "../../../src/data/import/requests.ts";
import { sourceOf } from "../../../src/data/import/sources.ts";
import { temporaryFolder } from "../../run/support.ts";
import { damage, jpeg, png, put, tree, wav } from "./trees.ts";

const RUNS = 60;

/** Of a list that all pairs depend on. */
const notUtf8 = (error: Error) => expect(error.message).toMatch(/ is not UTF-8 text/);

/** A pair that is read, or one that is refused as a problem; anything else would end the import. */
async function readsOrRefuses(request: object): Promise<void> {
  const parsed = importSchema.parse(request) as ImportRequest;
  const source = sourceOf(parsed, new FileTree(parsed.path));
  const { entries, read } = await source.match(new Problems(), () => {});
  for (const index of entries.keys()) {
    try {
      const { image } = await read(index);
      expect(image).toHaveLength(32 * 32 * 3);
    } catch (error) {
      expect(error instanceof PairProblem || error instanceof RangeError, String((error as Error).stack)).toBe(true);
      expect((error as Error).message).not.toMatch(/undefined|\[object/);
    }
  }
}

describe("a damaged or arbitrary file is a problem of its pair, never more", () => {
  test.each([
    ["map.png", { condition: "semantic", classes: ["a", "b"] }, () => png(24, 24, (x) => [x % 2])],
    [
      "map.png",
      { condition: "semantic", classes: ["a", "b"] },
      () => png(24, 24, (x) => [x % 2, 0, 0], { palette: true }),
    ],
    ["drawing.jpg", { condition: "lines" }, () => jpeg(24, 24, (x) => [x * 9, 0, 0])],
    ["sound.wav", { condition: "audio", bands: 8, frames: 8 }, () => Promise.resolve(wav(300, 0.02))],
  ] as const)("%s, %j", async (name, kind, make) => {
    const file = await make();
    const image = await png(24, 24, () => [1, 2, 3]);
    const stem = name.slice(0, name.indexOf("."));
    const path = tree({ [`image/${stem}.png`]: image, [`condition/${name}`]: file });
    const request = { name: "folder", path, size: 32, ...kind };
    await fc.assert(
      fc.asyncProperty(damage(file), async (bytes) => {
        writeFileSync(join(path, "condition", name), bytes);
        await readsOrRefuses(request);
      }),
      { numRuns: RUNS },
    );
  });

  test.each([
    ["a.jpg", 64, () => jpeg(64, 64, (x, y) => [x * y, x, y])],
    ["a.jpg", 40, () => jpeg(40, 70, (x, y) => [x * y, x, y])],
    ["a.png", 64, () => png(64, 64, (x, y) => [x * y, x, y])],
  ] as const)("the image %s, %i pixels wide", async (name, _, make) => {
    const file = await make();
    const path = tree({ [name]: file });
    await fc.assert(
      fc.asyncProperty(damage(file), async (bytes) => {
        writeFileSync(join(path, name), bytes);
        await readsOrRefuses({ name: "images", path, size: 32 });
      }),
      { numRuns: RUNS },
    );
  });

  test("masks of CelebAMask-HQ", async () => {
    const mask = await png(24, 24, (x) => (x < 9 ? [255, 255, 255] : [0, 0, 0]), { palette: true });
    const file = "CelebAMask-HQ-mask-anno/0/00000_skin.png";
    const path = tree({ "CelebA-HQ-img/0.png": await png(24, 24, () => [1, 2, 3]), [file]: mask });
    await fc.assert(
      fc.asyncProperty(damage(mask), async (bytes) => {
        put(path, { [file]: bytes });
        await readsOrRefuses({ name: "celebamask-hq", path, size: 32 });
      }),
      { numRuns: RUNS },
    );
  });

  test("annotations of COCO", async () => {
    const text = JSON.stringify({
      images: [{ id: 1, file_name: "a.png", width: 24, height: 24 }],
      annotations: [1, 2, 3].map((id) => ({ id, image_id: 1, category_id: id, bbox: [id, id, 12, 12] })),
      categories: ["person", "bicycle", "car"].map((name, i) => ({ id: i + 1, name })),
    });
    const file = "annotations/instances_train2017.json";
    const path = tree({ "train2017/a.png": await png(24, 24, () => [1, 2, 3]), [file]: text });
    await readsOrRefuses({ name: "coco-stuff", path, size: 32 });
    await fc.assert(
      fc.asyncProperty(damage(Buffer.from(text)), async (bytes) => {
        put(path, { [file]: bytes });
        try {
          await readsOrRefuses({ name: "coco-stuff", path, size: 32 });
        } catch (error) {
          // All pairs depend on the list.
          expect((error as Error).message).toMatch(/json is not JSON of annotations: /);
        }
      }),
      { numRuns: 5 * RUNS },
    );
  });

  test("captions and lists of CUB-200-2011", async () => {
    const files = {
      "images.txt": "1 b/a.jpg\n",
      "train_test_split.txt": "1 1\n",
      "text_c10/b/a.txt": Array.from({ length: 10 }, (_, i) => `a small bird, ${i}`).join("\n"),
    };
    const path = tree({ ...files, "images/b/a.jpg": await jpeg(24, 24, () => [1, 2, 3]) });
    const damaged = fc.record(
      Object.fromEntries(Object.entries(files).map(([name, text]) => [name, damage(Buffer.from(text))])),
    );
    await fc.assert(
      fc.asyncProperty(damaged, async (files) => {
        put(path, files);
        await readsOrRefuses({ name: "cub-200-2011", path, size: 32 }).catch(notUtf8);
      }),
      { numRuns: RUNS },
    );
  });

  test.each([
    ["keypoints", { points: ["a", "b"] }],
    ["layout", { classes: ["a", "b"], boxes: 3 }],
  ])("JSON of %s", async (condition, over) => {
    const path = tree({ "image/a.png": await png(30, 24, () => [1, 2, 3]), "condition/a.json": "" });
    const share = fc.oneof(fc.double({ noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), fc.constant(1));
    const likely = fc.oneof(
      fc.array(fc.oneof(fc.tuple(share, share), fc.constant(null)), { minLength: 1, maxLength: 3 }),
      fc.array(fc.record({ class: fc.constantFrom("a", "b", "c"), box: fc.tuple(share, share, share, share) }), {
        maxLength: 5,
      }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          likely.map((it) => JSON.stringify(it)),
          fc.json(),
          fc.string(),
        ),
        async (text) => {
          put(path, { "condition/a.json": text });
          await readsOrRefuses({ name: "folder", path, size: 32, condition, ...over });
        },
      ),
      { numRuns: 2 * RUNS },
    );
  });

  test("captions of any bytes", async () => {
    const path = tree({ "image/a.png": await png(24, 24, () => [1, 2, 3]), "condition/a.txt": "" });
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.string({ unit: "binary" })), async (text) => {
        put(path, { "condition/a.txt": text });
        await readsOrRefuses({ name: "folder", path, size: 32, condition: "text", length: 24 });
      }),
      { numRuns: RUNS },
    );
  });

  test("key points of DeepFashion", async () => {
    const line = `a.png:${JSON.stringify(Array(18).fill(3))}:${JSON.stringify(Array(18).fill(4))}`;
    const path = tree({ "a.png": await png(24, 24, () => [1, 2, 3]), "annotation-train.csv": line });
    await fc.assert(
      fc.asyncProperty(damage(Buffer.from(line)), async (bytes) => {
        put(path, { "annotation-train.csv": bytes });
        await readsOrRefuses({ name: "deepfashion", path, size: 32 }).catch(notUtf8);
      }),
      { numRuns: RUNS },
    );
  });
});

describe("lists of a JSON file, element by element", () => {
  const path = () => join(temporaryFolder(), "annotations.json");
  async function elementsOf(file: string): Promise<ListElement[]> {
    const elements: ListElement[] = [];
    await readLists(file, (element) => elements.push(element));
    return elements;
  }

  test("are those that JSON.parse gives", async () => {
    const file = path();
    // JSON.parse rounds whole numbers from 2⁵³ on.
    const exact = (_: string, value: unknown) => (typeof value === "bigint" ? Number(value) : value);
    const document = fc.dictionary(
      fc.string(),
      fc.oneof(fc.array(fc.jsonValue({ maxDepth: 3 })), fc.jsonValue({ maxDepth: 2 })),
    );
    await fc.assert(
      fc.asyncProperty(document, fc.constantFrom(0, 2), async (value, space) => {
        const text = JSON.stringify(value, null, space);
        writeFileSync(file, text);
        const known = JSON.parse(text) as Record<string, unknown>;
        const lists = Object.entries(known).flatMap(([list, all]) =>
          Array.isArray(all) ? all.map((each) => ({ list, value: each as unknown })) : [],
        );
        expect(JSON.parse(JSON.stringify(await elementsOf(file), exact))).toEqual(lists);
      }),
      { numRuns: 300 },
    );
  });

  test("go on over the borders of blocks", async () => {
    const file = path();
    const images = Array.from({ length: 40_000 }, (_, id) => ({
      id,
      file_name: `über "${id}" [\\`,
      list: [id, { id }],
    }));
    writeFileSync(file, JSON.stringify({ info: { year: 1 }, images, end: [1] }));
    const elements = await elementsOf(file);
    expect(elements).toHaveLength(40_001);
    expect(elements.slice(0, -1).map(({ value }) => value)).toEqual(images);
  });

  test("keep whole numbers of any size exactly", async () => {
    const file = path();
    writeFileSync(file, '{"ids": [9007199254740991, 9007199254740992, 9007199254740993, -9007199254740993, 1e3, 1.5]}');
    expect((await elementsOf(file)).map(({ value }) => value)).toEqual([
      9007199254740991,
      9007199254740992n,
      9007199254740993n,
      -9007199254740993n,
      1000,
      1.5,
    ]);
  });

  test("damaged text is refused, or read where it is still JSON", async () => {
    const file = path();
    const text = Buffer.from('{"a": [{"b": [1, 2]}, "x"], "c": {"d": []}, "e": [[]]}');
    await fc.assert(
      fc.asyncProperty(damage(text), async (bytes) => {
        writeFileSync(file, bytes);
        const read = await elementsOf(file).catch((error: Error) => error);
        if (read instanceof Error) expect(read.message).toMatch(/annotations\.json is not JSON of annotations: /);
        else expect(typeof JSON.parse(bytes.toString("utf8"))).toBe("object");
      }),
      { numRuns: 300 },
    );
  });
});
