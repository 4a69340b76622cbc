import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FACE_CLASSES, readCondition } from "../../src/data/index.ts";
import { drawCondition, readImage, readLabelMap, readLines } from "../../src/media/index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "iqvae-read-"));
});
afterAll(() => rm(folder, { recursive: true }));

const SIZE = 8;
const path = (name: string) => join(folder, name);
const raw = (channels: 1 | 3 | 4, width = SIZE, height = SIZE) => ({ raw: { width, height, channels } });
const savePixels = (pixels: Uint8Array, channels: 1 | 3 | 4, name: string) =>
  sharp(pixels, raw(channels))
    .toColorspace(channels === 1 ? "b-w" : "srgb")
    .png()
    .toFile(path(name));

const FACES = { kind: "semantic", classes: FACE_CLASSES } as const;

const labels = fc.uint8Array({ minLength: SIZE ** 2, maxLength: SIZE ** 2, max: FACE_CLASSES.length - 1 });

describe("readCondition", () => {
  it("reads back a map that was saved as class numbers or as drawCondition shows it", async () => {
    const spec = { kind: "semantic", classes: FACE_CLASSES } as const;
    await fc.assert(
      fc.asyncProperty(labels, async (map) => {
        await savePixels(map, 1, "gray.png");
        await savePixels(drawCondition(map, spec, SIZE), 3, "color.png");
        expect(await readCondition(path("gray.png"), spec, SIZE)).toEqual(map);
        expect(await readCondition(path("color.png"), spec, SIZE)).toEqual(map);
      }),
      { numRuns: 15 },
    );
  });

  it("reads back lines, and takes what is transparent for paper", async () => {
    const lines = Uint8Array.from({ length: SIZE ** 2 }, (_, i) => Number(i % 3 === 0));
    await savePixels(drawCondition(lines, { kind: "lines" }, SIZE), 3, "lines.png");
    expect(await readCondition(path("lines.png"), { kind: "lines" }, SIZE)).toEqual(lines);
    const ink = Uint8Array.from({ length: SIZE ** 2 * 4 }, (_, i) => (i % 4 === 3 ? lines[i >> 2]! * 255 : 0));
    await savePixels(ink, 4, "ink.png");
    expect(await readLines(path("ink.png"), SIZE)).toEqual(lines);
  });
});

describe("readLabelMap", () => {
  it("names the label that is out of range, and where", async () => {
    const map = new Uint8Array(SIZE ** 2);
    map[SIZE + 3] = 13;
    await savePixels(map, 1, "high.png");
    await expect(readLabelMap(path("high.png"), FACES, SIZE)).rejects.toThrow(
      /holds 13 at x = 3, y = 1, but there are 13 classes, 0 \(background\) to 12/,
    );
  });

  it("names the color that is that of no class", async () => {
    const pixels = drawCondition(new Uint8Array(SIZE ** 2), { kind: "semantic", classes: FACE_CLASSES }, SIZE);
    pixels.set([1, 2, 3], 3 * 5);
    await savePixels(pixels, 3, "odd.png");
    await expect(readLabelMap(path("odd.png"), FACES, SIZE)).rejects.toThrow(
      /the color #010203 at x = 5, y = 0, which stands for no class\. Paint without soft edges, in #eceff1, /,
    );
  });

  it("refuses another size and other depths", async () => {
    await sharp(new Uint8Array(8 * 6), raw(1, 8, 6))
      .toColorspace("b-w")
      .png()
      .toFile(path("flat.png"));
    await expect(readLabelMap(path("flat.png"), FACES, SIZE)).rejects.toThrow(
      /expected 8 × 8 pixels, got 8 × 6\. Scale it without smoothing/,
    );
    await sharp(new Uint8Array(64), raw(1)).toColorspace("grey16").png().toFile(path("deep.png"));
    await expect(readLabelMap(path("deep.png"), FACES, SIZE)).rejects.toThrow(
      /deep\.png has 16 bits a pixel\. Save it with 8 bits/,
    );
  });
});

describe("readImage", () => {
  it("takes the square in the middle, on white", async () => {
    // Red, green and blue thirds side by side; the green third is transparent.
    const pixels = Uint8Array.from({ length: 24 * 8 * 4 }, (_, i) => {
      const third = Math.floor(((i >> 2) % 24) / 8);
      return i % 4 === 3 ? (third === 1 ? 0 : 255) : i % 4 === third ? 255 : 0;
    });
    await sharp(pixels, raw(4, 24, 8))
      .png()
      .toFile(path("wide.png"));
    expect(new Set(await readImage(path("wide.png"), 8))).toEqual(new Set([255]));
    expect(await readImage(path("wide.png"), 4)).toHaveLength(4 * 4 * 3);
  });

  it("makes three channels of a gray image", async () => {
    await savePixels(new Uint8Array(SIZE ** 2).fill(77), 1, "even.png");
    expect(await readImage(path("even.png"), SIZE)).toEqual(new Uint8Array(SIZE ** 2 * 3).fill(77));
  });

  it("says what is wrong with a file that is none, none of an image, or half of one", async () => {
    await expect(readImage(path("nowhere.png"), 8)).rejects.toThrow(
      /nowhere\.png cannot be read: there is no such file/,
    );
    await expect(readImage(folder, 8)).rejects.toThrow(/cannot be read: it is a folder/);
    await writeFile(path("text.png"), "This is not a picture.");
    await expect(readImage(path("text.png"), 8)).rejects.toThrow(
      /text\.png is not a whole image that can be decoded \(.*\)\. Expected a PNG, JPEG,/,
    );
    const noise = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 7919) % 251);
    const whole = await sharp(noise, raw(3, 64, 64))
      .png()
      .toBuffer();
    await writeFile(path("half.png"), whole.subarray(0, whole.length / 2));
    await expect(readImage(path("half.png"), 8)).rejects.toThrow(/half\.png is not a whole image/);
    await expect(readLines(path("text.png"), 8)).rejects.toThrow(/text\.png is not a whole image/);
  });
});
