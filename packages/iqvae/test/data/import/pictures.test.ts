import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, test, vi } from "vitest";
import { plainJpeg } from "../../../src/data/import/readers/jpeg.ts";
import { openPicture, squareImage } from "../../../src/data/import/readers/pictures.ts";
import { plainPng, pngPixels } from "../../../src/data/import/readers/png.ts";
import { temporaryFolder } from "../../run/support.ts";
import { chunk, damage, jpeg, pixels, png, pngFile } from "./trees.ts";

/** What sharp makes of a file: RGB, or gray numbers as they are decoded; `undefined` when it refuses. */
async function bySharp(file: Buffer, gray: boolean): Promise<Uint8Array | undefined> {
  try {
    const raw = sharp(file)
      .toColorspace(gray ? "b-w" : "srgb")
      .raw();
    return new Uint8Array(await raw.toBuffer());
  } catch {
    return undefined;
  }
}

/** What is read here, as sharp gives it: palettes looked up, fewer than 8 bits spread. */
function byHand(file: Buffer): { data: Uint8Array; gray: boolean } | undefined {
  const plain = plainPng(file);
  const numbers = plain && pngPixels(plain);
  if (plain === undefined || numbers === undefined) return undefined;
  const { bits, channels, palette } = plain;
  if (palette !== undefined && channels === 1)
    return { data: Uint8Array.from([...numbers].flatMap((index) => [...palette[index]!])), gray: false };
  return { data: numbers.map((value) => (value * 255) / (2 ** bits - 1)), gray: channels === 1 };
}

/** A PNG file of any plain kind: rows of random bytes, each with any filter. */
const anyPng = fc
  .record({
    width: fc.integer({ min: 1, max: 9 }),
    height: fc.integer({ min: 1, max: 6 }),
    kind: fc.constantFrom([0, 1], [0, 2], [0, 4], [0, 8], [2, 8], [3, 1], [3, 2], [3, 4], [3, 8]),
    // Small numbers too, among which the predictors of filters often tie.
    seed: fc.constantFrom(255, 7).chain((max) => fc.uint8Array({ minLength: 400, maxLength: 400, max })),
    parts: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ width, height, kind: [kind, bits], seed, parts }) => {
    const stride = Math.ceil((width * (kind === 2 ? 3 : 1) * bits!) / 8);
    const rows = Buffer.alloc((stride + 1) * height);
    for (let at = 0; at < rows.length; at++) rows[at] = at % (stride + 1) === 0 ? seed[at]! % 5 : seed[at]!;
    const palette = Buffer.from(Array.from({ length: 768 }, (_, i) => (i * 31 + seed[i % 400]!) & 255));
    const extra = kind === 3 ? [chunk("PLTE", palette.subarray(0, 3 * 2 ** bits!))] : [];
    return pngFile({ width, height, bits: bits!, kind: kind! }, extra, deflateSync(rows), parts);
  });

describe("PNG files", () => {
  test("of every plain kind are read as sharp reads them", async () => {
    await fc.assert(
      fc.asyncProperty(anyPng, async (file) => {
        const { data, gray } = byHand(file)!;
        expect(data).toEqual(await bySharp(file, gray));
      }),
      { numRuns: 200 },
    );
  });

  test("that sharp wrote, with filters that it chose", async () => {
    const noisy = pixels(61, 40, (x, y) => [(x * 3 + y) & 255, (x * y) & 255, (x + y * 7) & 255]);
    const file = await sharp(noisy, { raw: { width: 61, height: 40, channels: 3 } })
      .png({ adaptiveFiltering: true })
      .toBuffer();
    expect(plainPng(file)).toMatchObject({ width: 61, height: 40, bits: 8, channels: 3 });
    expect(Buffer.compare(byHand(file)!.data, noisy)).toBe(0);
  });

  test("that are damaged are left to sharp, or read alike", async () => {
    const whole = await png(24, 24, (x, y) => [(x * y) % 7]);
    let left = 0;
    await fc.assert(
      fc.asyncProperty(damage(whole), async (file) => {
        const read = byHand(file);
        if (read === undefined) left++;
        else expect(read.data).toEqual(await bySharp(file, read.gray));
      }),
      { numRuns: 200 },
    );
    expect(left).toBeGreaterThan(150);
  });

  const shape = { width: 4, height: 4, bits: 8, kind: 0 };
  const flipped = (bytes: Buffer, at: number) => bytes.fill(bytes[at]! ^ 1, at, at + 1);
  const rows = (count: number) => deflateSync(Buffer.alloc(count));
  test.each([
    ["cut off before its end", pngFile(shape, [], rows(20)).subarray(0, -1)],
    [
      "with a palette that was changed",
      pngFile({ ...shape, kind: 3 }, [flipped(chunk("PLTE", Buffer.alloc(3)), 8)], rows(20)),
    ],
    ["with rows too few", pngFile(shape, [], rows(15))],
    ["with rows too many", pngFile(shape, [], rows(25))],
    ["with a filter that there is not", pngFile(shape, [], deflateSync(Buffer.alloc(20, 5)))],
    [
      "with an index beyond its palette",
      pngFile(
        { ...shape, kind: 3 },
        [chunk("PLTE", Buffer.alloc(3))],
        deflateSync(Buffer.from([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
      ),
    ],
    ["that claims to be huge", pngFile({ ...shape, width: 2 ** 31 - 1, height: 2 ** 31 - 1 }, [], rows(20))],
    ["with opacity", pngFile(shape, [chunk("tRNS", Buffer.from([0, 1]))], rows(20))],
    ["with 16 bits", pngFile({ ...shape, bits: 16 }, [], rows(36))],
    ["interlaced", pngFile({ ...shape, interlacing: 1 }, [], rows(20))],
  ])("%s: left to sharp", (_, file) => {
    expect(byHand(file)).toBeUndefined();
  });
});

describe("JPEG files", () => {
  test("have the shape that sharp finds, damaged or not", async () => {
    const files = [
      await jpeg(33, 21, (x) => [x, 0, 0]),
      await sharp(await jpeg(20, 31, () => [9, 9, 9]))
        .grayscale()
        .jpeg({ progressive: true })
        .toBuffer(),
    ];
    expect(files.map(plainJpeg)).toEqual([
      { width: 33, height: 21 },
      { width: 20, height: 31 },
    ]);
    await fc.assert(
      fc.asyncProperty(damage(files[0]!), async (file) => {
        const shape = plainJpeg(file);
        // Of nothing at all sharp complains at once.
        const known =
          file.length === 0
            ? undefined
            : await sharp(file)
                .metadata()
                .catch(() => undefined);
        if (shape !== undefined && known !== undefined)
          expect(shape).toEqual({ width: known.width, height: known.height });
      }),
      { numRuns: 200 },
    );
  });

  test("with EXIF data or a profile are left to sharp", async () => {
    const file = sharp(await jpeg(8, 4, () => [1, 2, 3]));
    expect(
      plainJpeg(
        await file
          .clone()
          .withExif({ IFD0: { Copyright: "x" } })
          .jpeg()
          .toBuffer(),
      ),
    ).toBeUndefined();
    expect(plainJpeg(await file.clone().withIccProfile("p3").jpeg().toBuffer())).toBeUndefined();
    expect(plainJpeg(Buffer.from("no picture at all"))).toBeUndefined();
  });
});

describe("the middle of a picture", () => {
  const side = 16;
  const color = (x: number, y: number) => [(x * 37 + y) & 255, (y * 51) & 255, (x * y) & 255];

  async function middle(name: string, file: Buffer, size = side): Promise<Uint8Array> {
    const path = join(temporaryFolder(), name);
    writeFileSync(path, file);
    return await squareImage(await openPicture(path), size);
  }

  test("at half its size is the mean of four pixels", async () => {
    const wide = await png(40, 32, color);
    const image = await middle("a.png", wide);
    // Four columns are cut off on each side.
    const expected = pixels(side, side, (x, y) => {
      const four = [0, 1, 2, 3].map((i) => color(4 + 2 * x + (i & 1), 2 * y + (i >> 1)));
      return [0, 1, 2].map((c) => Math.floor((four.reduce((sum, each) => sum + each[c]!, 0) + 2) / 4));
    });
    expect(Buffer.compare(image, expected)).toBe(0);
  });

  test.each([
    ["at its size", 1, 2],
    ["at half its size", 2, 3],
    ["at a quarter of its size", 4, 3],
  ])("of a JPEG file %s is nearly what sharp makes", async (_, factor, most) => {
    const file = await jpeg(3 * factor * side, factor * side, (x, y) => [(x * 5) & 255, (y * 8) & 255, (x + y) & 255]);
    const image = await middle("a.jpg", file);
    const scaled = await sharp(file).resize(side, side, { fit: "cover" }).raw().toBuffer();
    const apart = image.map((value, i) => Math.abs(value - scaled[i]!));
    expect(apart.reduce((sum, value) => sum + value) / apart.length).toBeLessThan(most);
  });

  test("of a gray JPEG file is as bright in all three channels", async () => {
    const gray = sharp(await jpeg(side, side, (x) => [x * 16, 0, 0])).grayscale();
    const image = await middle("a.jpg", await gray.jpeg().toBuffer());
    const bright = await gray.raw().toBuffer();
    image.forEach((value, i) => {
      expect(Math.abs(value - bright[Math.floor(i / 3)]!)).toBeLessThan(12);
    });
  });

  test("of a JPEG file comes from sharp where libjpeg-turbo cannot be loaded", async () => {
    const file = await jpeg(side, side, (x, y) => [x * 16, y * 16, 0]);
    vi.resetModules();
    vi.doMock("@julusian/jpeg-turbo", () => {
      throw new Error("no build for this machine");
    });
    try {
      const { jpegPixels } = await import("../../../src/data/import/readers/jpeg.ts");
      expect(await jpegPixels(file)).toBeUndefined();
      const { openPicture, squareImage } = await import("../../../src/data/import/readers/pictures.ts");
      const path = join(temporaryFolder(), "a.jpg");
      writeFileSync(path, file);
      const image = await squareImage(await openPicture(path), side);
      expect(Buffer.compare(image, await sharp(file).raw().toBuffer())).toBe(0);
    } finally {
      vi.doUnmock("@julusian/jpeg-turbo");
      vi.resetModules();
    }
  });

  test.each([32, 20])("is upright as its EXIF data say, scaled to 16 from %i", async (short) => {
    const turned = await sharp(await png(2 * short, short, (x) => (x < short ? [255, 0, 0] : [0, 0, 255])))
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    const image = await middle("a.jpg", turned);
    // Turned by a quarter to the right, what was on the left is above.
    expect([...image.subarray(0, 3)].map((value) => value > 128)).toEqual([true, false, false]);
    expect([...image.subarray(-3)].map((value) => value > 128)).toEqual([false, false, true]);
  });

  test("is white where it is transparent", async () => {
    const file = await sharp({ create: { width: 32, height: 32, channels: 4, background: "#12345600" } })
      .png()
      .toBuffer();
    expect(new Set(await middle("a.png", file))).toEqual(new Set([255]));
  });

  test.each([16, 11])("that is not whole is named, scaled to %i", async (size) => {
    const file = await jpeg(32, 32, (x, y) => [x * y, x, y]);
    await expect(middle("cut.jpg", file.subarray(0, file.length * 0.7), size)).rejects.toThrow(
      /cut\.jpg is no whole picture/,
    );
  });
});

test("the palette of the golden file", () => {
  const file = readFileSync(new URL("palette-3.png", import.meta.url));
  expect(plainPng(file)?.palette?.slice(0, 3)).toEqual([
    [0, 0, 0],
    [128, 0, 0],
    [0, 128, 0],
  ]);
});
