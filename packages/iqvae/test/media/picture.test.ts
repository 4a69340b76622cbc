import { deflateSync } from "node:zlib";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { readImage, readLines, readMask, readPartialImage } from "../../src/media/index.ts";
import { expectSameShape, squareImage, squareLines } from "../../src/media/picture.ts";
import { jpeg, png, pngFile } from "../data/import/trees.ts";
import { fileOf, pictureOf, tiffFile } from "./files.ts";

const side = 16;
const RED = [255, 0, 0] as const;
const BLUE = [0, 0, 255] as const;

async function middle(file: Uint8Array, size: number = side): Promise<Uint8Array> {
  return await squareImage(await pictureOf(file), size);
}

describe("the middle of a picture", () => {
  test.each([16, 32, 40, 64, 70, 1200])("%i pixels high, of a wide one: the columns in the middle", async (height) => {
    // Red is cut off on both sides.
    const cut = Math.floor(height / 4);
    const file = await png(height + 2 * cut, height, (x) => (x < cut || x >= height + cut ? RED : BLUE));
    const image = await middle(file);
    expect(new Set(image.filter((_, i) => i % 3 === 0))).toEqual(new Set([0]));
    expect(new Set(image.filter((_, i) => i % 3 === 2))).toEqual(new Set([255]));
  });

  test.each([1, 2, 3])("of one of %i pixels a side", async (small) => {
    const image = await middle(await png(small, 3 * small, (_, y) => (y >= small && y < 2 * small ? BLUE : RED)));
    expect([...image.subarray(0, 3), ...image.subarray(-3)]).toEqual([...BLUE, ...BLUE]);
  });

  test.each([32, 20])("is upright as its EXIF data say, scaled to 16 from %i", async (short) => {
    const turned = await sharp(await png(2 * short, short, (x) => (x < short ? RED : BLUE)))
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    const image = await middle(turned);
    // Turned by a quarter to the right, what was on the left is above.
    expect([...image.subarray(0, 3)].map((value) => value > 128)).toEqual([true, false, false]);
    expect([...image.subarray(-3)].map((value) => value > 128)).toEqual([false, false, true]);
  });

  test("of a gray picture is as bright in all three channels", async () => {
    expect(await middle(await png(side, side, () => [77]))).toEqual(new Uint8Array(side * side * 3).fill(77));
  });

  test("is white where it is transparent", async () => {
    const file = await sharp({ create: { width: 32, height: 32, channels: 4, background: "#12345600" } })
      .png()
      .toBuffer();
    expect(new Set(await middle(file))).toEqual(new Set([255]));
  });

  test.each([16, 11])("that is not whole is named, scaled to %i", async (size) => {
    const file = await jpeg(32, 32, (x, y) => [x * y, x, y]);
    const cut = await pictureOf(file.subarray(0, file.length * 0.7), "cut.jpg");
    await expect(squareImage(cut, size)).rejects.toThrow(/cut\.jpg is not a whole image .*premature end/);
  });

  test("of a JPEG file with an odd number in its scan's header is that of the same file without it", async () => {
    const file = await jpeg(side, side, (x, y) => [x * 9, y * 9, 0]);
    const scan = file.indexOf(Buffer.from([0xff, 0xda]));
    const last = scan + 4 + 1 + 2 * file[scan + 4]! + 1;
    expect(file[last]).toBe(63);
    const odd = Buffer.from(file);
    odd[last] = 0;
    expect(await middle(odd)).toEqual(await middle(file));
    await expect(middle(odd.subarray(0, odd.length * 0.7))).rejects.toThrow(/not a whole image/);
  });
});

describe("numbers of a TIFF file", () => {
  /** From black to white, in numbers that take up to `most`. */
  const ramp = (
    most: number,
    bytes: number,
    write: (data: Buffer, value: number, at: number) => void,
    channels = 1,
  ) => {
    const data = Buffer.alloc(side * side * channels * bytes);
    for (let i = 0; i < side * side * channels; i++) {
      write(data, (most * (Math.floor(i / channels) % side)) / (side - 1), i * bytes);
    }
    return data;
  };
  const fractions = (channels: number) => ramp(1, 4, (data, value, at) => data.writeFloatLE(value, at), channels);
  const signed16 = (channels: number) =>
    ramp(32_767, 2, (data, value, at) => data.writeInt16LE(Math.floor(value), at), channels);
  const whole32 = (channels: number) =>
    ramp(2 ** 32 - 1, 4, (data, value, at) => data.writeUInt32LE(Math.floor(value), at), channels);

  test.each([
    ["float", tiffFile(side, { channels: 1, bits: 32, format: 3 }, fractions(1))],
    ["short", tiffFile(side, { channels: 1, bits: 16, format: 2 }, signed16(1))],
    ["uint", tiffFile(side, { channels: 1, bits: 32, format: 1 }, whole32(1))],
    ["short", tiffFile(side, { channels: 3, bits: 16, format: 2 }, signed16(3))],
    ["uint", tiffFile(side, { channels: 3, bits: 32, format: 1 }, whole32(3))],
  ])("that would be cut off are refused: %s", async (type, file) => {
    const problem = {
      kind: "unsuitable format",
      message: expect.stringMatching(new RegExp(`${type} numbers.* 8 or 16 bits`)),
    };
    await expect(middle(file)).rejects.toMatchObject(problem);
    await expect(readLines(fileOf(file), side)).rejects.toMatchObject(problem);
    await expect(readMask(fileOf(file), side)).rejects.toMatchObject(problem);
  });

  test.each([
    [
      "16 bits",
      tiffFile(
        side,
        { channels: 1, bits: 16, format: 1 },
        ramp(65_535, 2, (data, value, at) => data.writeUInt16LE(Math.floor(value), at)),
      ),
    ],
    ["fractions in RGB", tiffFile(side, { channels: 3, bits: 32, format: 3 }, fractions(3))],
  ])("are read from black to white: %s", async (_, file) => {
    const row = [...(await middle(file)).subarray(0, 3 * side)].filter((_, i) => i % 3 === 0);
    expect([row[0], row.at(-1)]).toEqual([0, 255]);
    expect(row).toEqual(row.toSorted((a, b) => a - b));
    expect(new Set(row).size).toBe(side);
  });
});

test("more pixels than a picture may have are refused by the header alone", async () => {
  const file = pngFile({ width: 30_000, height: 10_000, bits: 8, kind: 2 }, [], deflateSync(Buffer.alloc(20)));
  await expect(pictureOf(file)).rejects.toMatchObject({
    kind: "too large",
    message: expect.stringContaining("30000 × 10000 pixels, 300 million; 268 million are the most"),
  });
});

test("lines are those of an import, whatever their color, and upright", async () => {
  const drawing = await sharp(await png(8, 8, (x) => (x === 1 ? RED : [255, 255, 255])))
    .withMetadata({ orientation: 6 })
    .png()
    .toBuffer();
  const lines = await readLines(fileOf(drawing), 8);
  expect([...lines.keys()].filter((at) => lines[at] === 1).map((at) => Math.floor(at / 8))).toEqual(Array(8).fill(1));
  expect(lines).toEqual(await squareLines(await pictureOf(drawing), 8));
  await expect(readLines(fileOf(drawing), 16)).rejects.toThrow(/expected 16 × 16 pixels, got 8 × 8/);
});

describe("a picture of which a part is given", () => {
  /** A picture that lies on its side: above red, below blue when it is upright; left transparent. */
  const turned = async (opacity: number) => {
    const pixels = Uint8Array.from({ length: 8 * 8 * 4 }, (_, i) => {
      const [x, y] = [Math.floor(i / 4) % 8, Math.floor(i / 32)];
      return i % 4 === 3 ? (y < 4 ? 255 : opacity) : i % 4 === (x < 4 ? 0 : 2) ? 255 : 0;
    });
    return await sharp(pixels, { raw: { width: 8, height: 8, channels: 4 } })
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
  };

  test("is turned upright, with its mask", async () => {
    const { image, mask } = await readPartialImage(fileOf(await turned(0)), undefined, 8);
    expect([...image.subarray(3 * 7, 3 * 8), ...image.subarray(-3)]).toEqual([...RED, ...BLUE]);
    expect([...mask.subarray(0, 8), ...mask.subarray(-8)]).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]);
    expect(await readMask(fileOf(await turned(0)), 8)).not.toContain(1);
  });

  test("is given where it is wholly opaque, and a mask is light where it is mostly so", async () => {
    const { mask } = await readPartialImage(fileOf(await turned(254)), undefined, 8);
    expect([...mask.subarray(0, 8)]).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
    const white = (alpha: number) =>
      sharp({ create: { width: 8, height: 8, channels: 4, background: { r: 255, g: 255, b: 255, alpha } } });
    for (const [alpha, given] of [
      [0.4, 0],
      [0.6, 1],
    ] as const)
      expect(new Set(await readMask(fileOf(await white(alpha).png().toBuffer()), 8))).toEqual(new Set([given]));
  });

  test("is what readImage reads of the same file", async () => {
    const path = fileOf(await turned(255));
    const white = fileOf(await png(8, 8, () => [255, 255, 255]), "white.png");
    expect((await readPartialImage(path, white, 8)).image).toEqual(await readImage(path, 8));
  });

  test("of another size is refused by the header alone", async () => {
    const huge = pngFile({ width: 9_000, height: 9_000, bits: 8, kind: 2 }, [], deflateSync(Buffer.alloc(20)));
    await expect(readMask(fileOf(huge), 8)).rejects.toThrow(/expected 8 × 8 pixels, got 9000 × 9000/);
  });
});

test("pictures of another shape do not go together", async () => {
  const [wide, narrow, scaled, higher] = await Promise.all(
    [png(40, 20, () => [0]), png(20, 40, () => [0]), png(21, 10, () => [0]), png(40, 21, () => [0])].map(async (file) =>
      pictureOf(await file),
    ),
  );
  expect(() => expectSameShape(wide!, narrow!)).toThrow(/has 40 × 20 pixels, but .* has 20 × 40 pixels/);
  expect(() => expectSameShape(wide!, scaled!)).not.toThrow();
  expect(() => expectSameShape(wide!, higher!)).toThrow(/40 × 21/);
});
