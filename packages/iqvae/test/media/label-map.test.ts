import { deflateSync } from "node:zlib";
import { FileProblem } from "@iqvae/runtime";
import fc from "fast-check";
import sharp, { type Sharp } from "sharp";
import { describe, expect, it, test } from "vitest";
import type { Rgb, SemanticSpec } from "../../src/conditions/index.ts";
import { readLabels, storedPixels } from "../../src/media/label-map.ts";
import { expectLossless } from "../../src/media/lossless.ts";
import type { Picture } from "../../src/media/picture.ts";
import { chunk, damage, pngFile } from "../data/import/trees.ts";
import { chunkOf, packed, palettePng, pictureOf, withChunks } from "./files.ts";

const COLORS: readonly Rgb[] = [
  [16, 32, 48],
  [64, 80, 96],
  [240, 224, 208],
  [1, 2, 3],
];
const painted: SemanticSpec = { kind: "semantic", classes: COLORS.map((color, i) => ({ name: `class ${i}`, color })) };
const indexed: SemanticSpec = { ...painted, indexed: true };

/** Four columns of different classes, so that each way to turn a map shows. */
const MAP = [
  [0, 1, 2, 3],
  [1, 1, 2, 0],
  [3, 0, 0, 2],
];
const flat = MAP.flat();
const rgb = Buffer.from(flat.flatMap((label) => [...COLORS[label]!]));
const paintedPng = () => sharp(rgb, { raw: { width: 4, height: 3, channels: 3 } }).png();
const grayPng = () =>
  sharp(Buffer.from(flat), { raw: { width: 4, height: 3, channels: 1 } })
    .toColorspace("b-w")
    .png()
    .toBuffer();

const labelsOf = async (bytes: Uint8Array, spec: SemanticSpec) => [
  ...(await readLabels(await pictureOf(bytes), spec)).labels,
];

describe("a PNG with a palette, where numbers count", () => {
  const black: Rgb = [0, 0, 0];

  test.each<[string, readonly Rgb[]]>([
    ["all of one color", [black, black, black, black]],
    ["two of one color", [black, [9, 9, 9], [9, 9, 9], [7, 7, 7]]],
    ["colors like those of other classes, and one more", [...COLORS.toReversed().slice(0, 3), black]],
    ["fewer colors than indices", [black]],
  ])("is read by its indices, be its colors %s", async (_, palette) => {
    const opaque = [chunk("tRNS", Buffer.from([255]))];
    expect(await labelsOf(palettePng(MAP, palette), indexed)).toEqual(flat);
    expect(await labelsOf(palettePng(MAP, palette, { extra: opaque }), indexed)).toEqual(flat);
  });

  it("is read by its indices, whatever they are, at every depth", async () => {
    const classes = Array.from({ length: 256 }, (_, i) => ({ name: String(i), color: [250, 251, 252] as Rgb }));
    const shape = fc.record({
      bits: fc.constantFrom(1, 2, 4, 8),
      width: fc.integer({ min: 1, max: 19 }),
      height: fc.integer({ min: 1, max: 5 }),
    });
    const picture = shape.chain(({ bits, width, height }) =>
      fc.record({
        bits: fc.constant(bits),
        indices: fc.array(fc.array(fc.nat(2 ** bits - 1), { minLength: width, maxLength: width }), {
          minLength: height,
          maxLength: height,
        }),
        // Grays may be numbers themselves.
        palette: fc.array(
          fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255)).filter(([r, g]) => r !== g),
          {
            minLength: 2 ** bits,
            maxLength: 2 ** bits,
          },
        ),
      }),
    );
    await fc.assert(
      fc.asyncProperty(picture, async ({ bits, indices, palette }) => {
        const file = palettePng(indices, palette, { bits });
        expect(await labelsOf(file, { kind: "semantic", classes, indexed: true })).toEqual(indices.flat());
      }),
      { numRuns: 60 },
    );
  });

  it("may be interlaced, and in parts", async () => {
    const file = await paintedPng().png({ palette: true, progressive: true, dither: 0 }).toBuffer();
    expect(file[28]).toBe(1);
    const labels = await labelsOf(file, {
      ...indexed,
      classes: painted.classes.map(({ name }) => ({ name, color: [0, 0, 0] })),
    });
    const palette = chunkOf(file, "PLTE").subarray(8);
    expect(labels.flatMap((index) => [...palette.subarray(3 * index, 3 * index + 3)])).toEqual([...rgb]);
  });

  it("is upright as its EXIF data say", async () => {
    const turned = await paintedPng().withMetadata({ orientation: 6 }).toBuffer();
    const map = await readLabels(
      await pictureOf(palettePng(MAP, [[0, 0, 0]], { extra: [chunkOf(turned, "eXIf")] })),
      indexed,
    );
    expect(map).toMatchObject({ width: 3, height: 4 });
    expect([...map.labels]).toEqual([3, 1, 0, 0, 1, 1, 0, 2, 2, 2, 0, 3]);
  });

  it("is refused where its colors are those of other classes than its indices", async () => {
    const other = palettePng(MAP, COLORS.toReversed());
    await expect(labelsOf(other, indexed)).rejects.toThrow(/its palette has them in another order/);
    expect(await labelsOf(palettePng(MAP, COLORS), indexed)).toEqual(flat);
  });

  it.each<[string, readonly number[], RegExp | undefined]>([
    ["numbers in another order", [0, 3, 1, 2], /gray 3 at index 1, .*as a gray PNG, without a palette/],
    ["the numbers that they are at", [0, 1, 2, 3], undefined],
    ["one of no class", [0, 3, 1, 4], undefined],
    ["no numbers, since two are the same", [0, 3, 3, 1], undefined],
  ])("with grays that are %s", async (_, grays, message) => {
    const read = labelsOf(
      palettePng(
        MAP,
        grays.map((gray): Rgb => [gray, gray, gray]),
      ),
      indexed,
    );
    if (message === undefined) expect(await read).toEqual(flat);
    else
      await expect(read).rejects.toMatchObject({
        kind: "unknown class or color",
        message: expect.stringMatching(message),
      });
  });

  it("with a single gray, the number of another class than the first, is refused", async () => {
    await expect(labelsOf(palettePng([[0, 0]], [[2, 2, 2]], { bits: 1 }), indexed)).rejects.toThrow(
      /gray 2 at index 0/,
    );
  });

  it("is a problem where it is damaged, never more", async () => {
    const file = palettePng(MAP, COLORS);
    await fc.assert(
      fc.asyncProperty(damage(file), async (bytes) => {
        try {
          expect(await labelsOf(bytes, indexed)).toHaveLength(12);
        } catch (error) {
          expect(error).toBeInstanceOf(FileProblem);
        }
      }),
      { numRuns: 100 },
    );
  });
});

test("a PNG with a palette is read by its colors, where colors count", async () => {
  const [a, b, c, d] = COLORS as [Rgb, Rgb, Rgb, Rgb];
  const twice = [d, c, b, a, a];
  const indices = MAP.map((row) => row.map((label) => (label === 0 ? 4 : 3 - label)));
  expect(await labelsOf(palettePng(indices, twice), painted)).toEqual(flat);
});

test.each([1, 2, 4, 8])("gray numbers of %i bits", async (bits) => {
  const rows = MAP.map((row) => row.map((label) => label % 2 ** bits));
  const file = pngFile({ width: 4, height: 3, bits, kind: 0 }, [], deflateSync(packed(rows, bits)));
  expect(await labelsOf(file, indexed)).toEqual(rows.flat());
  expect(await labelsOf(file, painted)).toEqual(rows.flat());
});

test("gray of the classes' colors is painted, or refused where it may be numbers", async () => {
  const spec: SemanticSpec = {
    kind: "semantic",
    classes: [
      { name: "paper", color: [255, 255, 255] },
      { name: "ink", color: [0, 0, 0] },
    ],
  };
  const gray = (rows: number[][], bits: number) =>
    pngFile({ width: 2, height: 1, bits, kind: 0 }, [], deflateSync(packed(rows, bits)));
  expect(await labelsOf(gray([[255, 0]], 8), spec)).toEqual([0, 1]);
  await expect(labelsOf(gray([[1, 0]], 1), spec)).rejects.toThrow(/class 0 \(paper\) .*class 1 \(ink\) as a color/);
});

test("profiles of color change nothing", async () => {
  const profile = chunkOf(await paintedPng().withIccProfile("p3").toBuffer(), "iCCP");
  expect(await labelsOf(withChunks(await paintedPng().toBuffer(), profile), painted)).toEqual(flat);
  expect(await labelsOf(withChunks(await grayPng(), profile), painted)).toEqual(flat);
});

describe("compression", () => {
  const image = () => sharp(rgb, { raw: { width: 4, height: 3, channels: 3 } });
  const gray = () => sharp(Buffer.from(flat), { raw: { width: 4, height: 3, channels: 1 } }).toColorspace("b-w");

  test.each<[string, () => Sharp]>([
    ["GIF", () => image().gif({ dither: 0 })],
    ["WebP", () => image().webp({ lossless: true })],
    ["WebP with metadata", () => image().withMetadata().webp({ lossless: true })],
    ["TIFF", () => image().tiff({ compression: "none" })],
    ["TIFF with LZW", () => image().tiff({ compression: "lzw" })],
    ["gray TIFF with deflate", () => gray().tiff({ compression: "deflate" })],
  ])("without loss: %s", async (_, write) => {
    expect(await labelsOf(await write().toBuffer(), painted)).toEqual(flat);
  });

  test.each<[string, () => Sharp]>([
    ["JPEG", () => gray().jpeg({ quality: 100 })],
    ["WEBP", () => image().webp({ quality: 100 })],
    ["WEBP", () => image().withMetadata().webp({ quality: 100 })],
    ["AVIF", () => image().avif({ quality: 100 })],
    ["TIFF", () => image().tiff({ compression: "jpeg", quality: 100 })],
    ["TIFF", () => image().tiff({ compression: "webp" })],
  ])("with loss is refused: %s", async (format, write) => {
    await expect(labelsOf(await write().toBuffer(), painted)).rejects.toMatchObject({
      kind: "unsuitable format",
      message: expect.stringMatching(new RegExp(`a label map as ${format} that is compressed with loss`)),
    });
  });
});

describe("what a file says of its compression", () => {
  /** The header and first directory of a TIFF file: numbers of 16 bits by their tags. */
  const tiff = (order: "II" | "MM", entries: Readonly<Record<number, number>>) => {
    const all = Object.entries(entries);
    const bytes = Buffer.alloc(10 + 12 * all.length);
    const short = (value: number, at: number) =>
      order === "II" ? bytes.writeUInt16LE(value, at) : bytes.writeUInt16BE(value, at);
    bytes.write(order, "latin1");
    short(42, 2);
    if (order === "II") bytes.writeUInt32LE(8, 4);
    else bytes.writeUInt32BE(8, 4);
    short(all.length, 8);
    for (const [i, [tag, value]] of all.entries())
      for (const [at, part] of [
        [0, Number(tag)],
        [8, value],
      ] as const)
        short(part, 10 + 12 * i + at);
    return bytes;
  };
  const riff = (chunks: readonly (readonly [name: string, length: number])[]) =>
    Buffer.concat([
      Buffer.alloc(12),
      ...chunks.map(([name, length]) => {
        const bytes = Buffer.alloc(8 + length + (length % 2));
        bytes.write(name, "latin1");
        bytes.writeUInt32LE(length, 4);
        return bytes;
      }),
    ]);
  const check = (format: string, bytes: Buffer) =>
    expectLossless({ path: "map", bytes, width: 1, height: 1, header: { format } as Picture["header"] });
  const [LZW, JPEG, RGB, PALETTE] = [5, 7, 2, 3];

  test.each(["II", "MM"] as const)("TIFF, %s: gray and RGB without loss, and neither JPEG's nor palettes", (order) => {
    expect(() => check("tiff", tiff(order, { 259: LZW, 262: RGB }))).not.toThrow();
    for (const [compression, meaning] of [
      [JPEG, RGB],
      [LZW, PALETTE],
    ] as const)
      expect(() => check("tiff", tiff(order, { 259: compression, 262: meaning }))).toThrow(/or has a palette/);
  });

  test("WebP: pixels lie behind chunks of odd lengths, too", () => {
    expect(() =>
      check(
        "webp",
        riff([
          ["ICCP", 3],
          ["VP8L", 8],
        ]),
      ),
    ).not.toThrow();
    expect(() =>
      check(
        "webp",
        riff([
          ["ICCP", 3],
          ["VP8 ", 8],
        ]),
      ),
    ).toThrow(/compressed with loss/);
  });
});

test.each<[string, () => Buffer | Promise<Buffer>, string, RegExp]>([
  [
    "a number of no class",
    () => pngFile({ width: 1, height: 1, bits: 8, kind: 0 }, [], deflateSync(Buffer.from([0, 9]))),
    "unknown class or color",
    /holds 9 at x = 0, y = 0, but there are 4 classes, 0 \(class 0\) to 3 \(class 3\)/,
  ],
  [
    "a color of no class",
    () => palettePng([[0, 1]], [COLORS[0]!, [7, 8, 9]]),
    "unknown class or color",
    /the color #070809 at x = 1, y = 0, .*#102030, #405060/,
  ],
  [
    "a transparent pixel",
    () => palettePng([[0, 1]], [...COLORS], { extra: [chunk("tRNS", Buffer.from([255, 254]))] }),
    "unknown class or color",
    /the color #405060 at x = 1, y = 0, which is transparent/,
  ],
  ...[1, 2, 8].map((bits): [string, () => Buffer, string, RegExp] => [
    `a gray of ${bits} bits that is transparent`,
    () => {
      const transparent = chunk("tRNS", Buffer.from([0, 1]));
      return pngFile({ width: 2, height: 1, bits, kind: 0 }, [transparent], deflateSync(packed([[0, 1]], bits)));
    },
    "unknown class or color",
    /at x = 1, y = 0, which is transparent/,
  ]),
  [
    "a gray pixel that was erased",
    () => pngFile({ width: 2, height: 1, bits: 8, kind: 4 }, [], deflateSync(Buffer.from([0, 1, 255, 0, 254]))),
    "unknown class or color",
    /the color #000000 at x = 1, y = 0, which is transparent/,
  ],
  [
    "16 bits",
    () =>
      sharp(Buffer.alloc(4), { raw: { width: 2, height: 2, channels: 1 } })
        .toColorspace("grey16")
        .png()
        .toBuffer(),
    "unsuitable format",
    /has 16 bits a pixel/,
  ],
  [
    "400 megapixels, by its header alone",
    () => pngFile({ width: 20_000, height: 20_000, bits: 8, kind: 0 }, [], deflateSync(Buffer.alloc(20))),
    "too large",
    /20000 × 20000 pixels, 400 million; 268 million are the most/,
  ],
  [
    "100 megapixels, by its header alone",
    () => pngFile({ width: 10_000, height: 10_000, bits: 8, kind: 0 }, [], deflateSync(Buffer.alloc(20))),
    "too large",
    /10000 × 10000 pixels, 100 million; 67 million are the most of a label map/,
  ],
])("refuses %s", async (_, file, kind, message) => {
  await expect(labelsOf(await file(), painted)).rejects.toMatchObject({
    kind,
    message: expect.stringMatching(message),
  });
});

test("refuses an index whose color is transparent", async () => {
  const file = palettePng([[0, 1]], [...COLORS], { extra: [chunk("tRNS", Buffer.from([255, 0]))] });
  await expect(labelsOf(file, indexed)).rejects.toThrow(/x = 1, y = 0, which is transparent/);
});

test("gray numbers may have an opacity that hides nothing", async () => {
  const file = pngFile({ width: 2, height: 1, bits: 8, kind: 4 }, [], deflateSync(Buffer.from([0, 3, 255, 1, 255])));
  expect(await labelsOf(file, indexed)).toEqual([3, 1]);
});

test("refuses a color that several classes share", async () => {
  const classes = painted.classes.map((each, i) => (i === 2 ? { ...each, color: COLORS[0]! } : each));
  await expect(labelsOf(await paintedPng().toBuffer(), { kind: "semantic", classes })).rejects.toThrow(
    /#102030 at x = 0, y = 0, which is that of several classes/,
  );
});

test("masks keep the numbers that they hold", async () => {
  const file = pngFile({ width: 4, height: 1, bits: 1, kind: 0 }, [], deflateSync(packed([[0, 1, 1, 0]], 1)));
  const { data, bits, channels } = await storedPixels(await pictureOf(file));
  expect({ data: [...data], bits, channels }).toEqual({ data: [0, 1, 1, 0], bits: 1, channels: 1 });
});

test("a mask with an erased pixel is refused", async () => {
  const erased = Buffer.from([0, 255, 255, 255, 255, 255, 255, 255, 0]);
  const file = pngFile({ width: 2, height: 1, bits: 8, kind: 6 }, [], deflateSync(erased));
  await expect(storedPixels(await pictureOf(file))).rejects.toThrow(/#ffffff at x = 1, y = 0, which is transparent/);
});
