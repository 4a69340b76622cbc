import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { textOf } from "../../../src/conditions/index.ts";
import { FASHION_KINDS, FASHION_LAYOUT, openDataset } from "../../../src/data/index.ts";
import { silhouette } from "../../../src/data/sets/fashion/garments.ts";
import { FASHION, FASHION_FILES } from "../../../src/data/sets/fashion/packages.ts";
import { cutOut } from "../../../src/data/sets/fashion/scenes.ts";
import { packageFolderOf } from "../../../src/support/packages.ts";
import { seededRandom } from "../../../src/support/random.ts";
import { temporaryCache, unpackInto } from "./photographs.ts";

/** A gray rectangle on the ground, as `[28, 28]` of ink. */
function garment(level: number, left = 6, top = 4, right = 21, bottom = 25): Uint8Array {
  return Uint8Array.from({ length: 28 * 28 }, (_, at) => {
    const [x, y] = [at % 28, Math.floor(at / 28)];
    return x >= left && x <= right && y >= top && y <= bottom ? level : 0;
  });
}

/** A file in the format of MNIST. */
function idx(shape: readonly number[], values: Uint8Array): Buffer {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt32BE(0x0800 + shape.length);
  for (const [i, side] of shape.entries()) header.writeUInt32BE(side, 4 + 4 * i);
  return gzipSync(Buffer.concat([header, values]));
}

/** Two garments of each kind to train on (ink 60 + its number), one of each held out (ink 200 + its kind). */
const LABELS = { train: [...Array(20).keys()].map((i) => i % 10), test: [...Array(10).keys()] };
const INKS = { train: LABELS.train.map((_, i) => 60 + i), test: LABELS.test.map((kind) => 200 + kind) };

function cacheWithFashion(change: Readonly<Record<string, Buffer>> = {}): string {
  const cache = temporaryCache();
  for (const part of ["train", "test"] as const) {
    const [images, labels] = FASHION_FILES[part];
    const pixels = Buffer.concat(INKS[part].map((level) => garment(level)));
    unpackInto(cache, FASHION, {
      [images]: idx([LABELS[part].length, 28, 28], pixels),
      [labels]: idx([LABELS[part].length], Uint8Array.from(LABELS[part])),
      ...change,
    });
  }
  return cache;
}

describe("fashion", () => {
  it("has each garment on white with the name of its kind, in the split of Fashion-MNIST", async () => {
    const dataset = await openDataset({ name: "fashion", condition: "text", size: 32, cacheDir: cacheWithFashion() });
    expect([dataset.train.length, dataset.validation.length]).toEqual([20, 10]);
    expect(dataset.validation.ids[9]).toBe("test/ankle boot/9");
    const { images, conditions } = dataset.train.batch([14]);
    expect(textOf(conditions)).toBe("coat");
    const at = (x: number, y: number) => [...images.subarray(3 * (32 * y + x), 3 * (32 * y + x) + 3)];
    // Ink 74 at (6, 4) of 28 × 28, which begins at (2, 2).
    expect([at(8, 6), at(7, 6), at(8, 5), at(23, 27), at(24, 27)]).toEqual([
      [181, 181, 181],
      [255, 255, 255],
      [255, 255, 255],
      [181, 181, 181],
      [255, 255, 255],
    ]);
    const { trueImages } = dataset.facts!;
    const drawn = await trueImages!("train/coat/14", 30, 32, seededRandom("test"));
    const middles = Array.from({ length: 30 }, (_, i) => drawn[3072 * i + 3 * (32 * 16 + 16)]!);
    expect(new Set(middles)).toEqual(new Set([255 - 64, 255 - 74]));
    await expect(trueImages!("coat", 1, 32, seededRandom("test"))).rejects.toThrow('got "coat"');
    dataset.close();
  });

  it.each([32, 64] as const)("has silhouettes in the class of the kind at %d pixels", async (size) => {
    const cacheDir = cacheWithFashion();
    const dataset = await openDataset({ name: "fashion", condition: "semantic", size, cacheDir });
    expect(dataset.condition).toMatchObject({ kind: "semantic", classes: [{ name: "ground" }, ...FASHION_KINDS] });
    const { images, conditions } = dataset.validation.batch([3]);
    const scale = size / 32;
    expect(conditions.filter((label) => label === 4).length).toBe(16 * 22 * scale ** 2);
    let inside = 0;
    conditions.forEach((label, at) => {
      const dark = images[3 * at]! < 150;
      if (dark === (label === 4)) inside++;
    });
    expect(inside / conditions.length).toBeGreaterThan(0.97);
    expect(images[3 * (size * (size / 2) + size / 2)]).toBe(255 - 203);
    dataset.close();
  });

  it("fills holes of silhouettes and drops specks", () => {
    const ink = garment(100);
    for (const [x, y] of [
      [10, 10],
      [11, 10],
      [6, 10],
    ] as const)
      ink[28 * y + x] = 24;
    ink[28 * 1 + 1] = 25;
    ink[28 * 27 + 20] = 255;
    const covered = silhouette(ink);
    const expected = garment(1);
    expected[28 * 10 + 6] = 0; // a notch, which is open to the ground
    expect(covered).toEqual(expected);
  });

  it("says which of its files is not what it should be", async () => {
    const [images, labels] = FASHION_FILES.test;
    const open = (file: string, content: Buffer) =>
      openDataset({ name: "fashion", condition: "text", size: 32, cacheDir: cacheWithFashion({ [file]: content }) });
    const cut = idx([10, 28, 28], garment(1));
    await expect(open(images, cut)).rejects.toThrow("t10k-images-idx3-ubyte.gz is not an IDX file");
    await expect(open(images, idx([1, 27, 28], garment(1).subarray(28)))).rejects.toThrow("entries of [28, 28]");
    await expect(open(labels, idx([3], Uint8Array.of(1, 2, 3)))).rejects.toThrow("3 labels, but");
  });

  it("names the folder to delete when a file of the package was cut off, whatever is read of it", async () => {
    const [images] = FASHION_FILES.test;
    const cacheDir = cacheWithFashion();
    const request = { name: "fashion", condition: "text", size: 32, cacheDir } as const;
    (await openDataset(request)).close();
    const whole = idx([10, 28, 28], Buffer.concat(INKS.test.map((level) => garment(level))));
    unpackInto(cacheDir, FASHION, { [images]: whole.subarray(0, 60) });
    const folder = packageFolderOf(FASHION, cacheDir);
    const told = `The package in ${folder} cannot be read (unexpected end of file): delete that folder, and it is fetched anew.`;
    const dataset = await openDataset(request);
    const { trueImages } = dataset.facts!;
    await expect(trueImages!("test/coat/4", 1, 32, seededRandom("test"))).rejects.toThrow(told);
    await expect(trueImages!("coat", 1, 32, seededRandom("test"))).rejects.toThrow(/^expected an id/);
    await expect(openDataset({ ...request, count: 3 })).rejects.toThrow(told);
    dataset.close();
  });
});

describe("fashion-scenes", () => {
  const open = (cacheDir: string) =>
    openDataset({ name: "fashion-scenes", condition: "layout", size: 64, count: 300, cacheDir });

  it("shows garments of the kinds and the half that their layouts say, on white", async () => {
    const dataset = await open(cacheWithFashion());
    expect(dataset.condition).toEqual(FASHION_LAYOUT);
    expect(dataset.train.length + dataset.validation.length).toBe(300);
    expect(dataset.validation.length).toBeGreaterThan(10);
    for (const part of ["train", "validation"] as const) {
      const split = dataset[part];
      const { images, conditions } = split.batch([...Array(split.length).keys()]);
      for (let i = 0; i < split.length; i++) {
        const rest = images.slice(i * 12288, (i + 1) * 12288);
        for (const [label, left, top, width, height] of boxesOf(conditions.subarray(25 * i, 25 * i + 25))) {
          const scale = 64 / 255;
          const [x, y] = [Math.floor((left + width / 2) * scale), Math.floor((top + height / 2) * scale)];
          const kind = label - 1;
          const inks = part === "train" ? [60 + kind, 70 + kind] : [200 + kind];
          expect(inks).toContain(255 - rest[3 * (64 * y + x)]!);
          for (let by = Math.floor(top * scale) - 1; by <= Math.ceil((top + height) * scale); by++) {
            for (let bx = Math.floor(left * scale) - 1; bx <= Math.ceil((left + width) * scale); bx++) {
              if (bx >= 0 && by >= 0 && bx < 64 && by < 64) rest.fill(255, 3 * (64 * by + bx), 3 * (64 * by + bx) + 3);
            }
          }
        }
        expect(rest.every((level) => level === 255)).toBe(true);
      }
    }
    dataset.close();
  });

  it("draws true images of a scene: other garments in the same boxes", async () => {
    const dataset = await open(cacheWithFashion());
    const { conditions } = dataset.train.batch([0]);
    const [label, left, top, width, height] = boxesOf(conditions)[0]!;
    const drawn = await dataset.facts!.trueImages!(dataset.train.ids[0]!, 30, 64, seededRandom("test"));
    const [x, y] = [Math.floor(((left + width / 2) * 64) / 255), Math.floor(((top + height / 2) * 64) / 255)];
    const inks = Array.from({ length: 30 }, (_, i) => 255 - drawn[12288 * i + 3 * (64 * y + x)]!);
    expect(new Set(inks)).toEqual(new Set([60 + label - 1, 70 + label - 1]));
    await expect(dataset.facts!.trueImages!("scene-0-1", 1, 64, seededRandom("test"))).rejects.toThrow(
      "fashion-scene-0-17",
    );
    dataset.close();
  });

  it("cuts garments to what they fill", () => {
    const { width, height, pixels } = cutOut(garment(90, 3, 5, 12, 24));
    expect([width, height]).toEqual([10, 20]);
    expect([...pixels.subarray(0, 4)]).toEqual([165, 165, 165, 255]);
  });
});

type BoxBytes = [label: number, left: number, top: number, width: number, height: number];

/** Class + 1, left, top, width and height of each box. */
function boxesOf(bytes: Uint8Array): BoxBytes[] {
  const boxes = Array.from({ length: bytes.length / 5 }, (_, i) => [...bytes.subarray(5 * i, 5 * i + 5)] as BoxBytes);
  return boxes.filter(([label]) => label > 0);
}
