import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { dataContactSheet, openDataset, type PairSplit } from "../../src/data/index.ts";
import { contactSheet, drawCondition, sheetSize } from "../../src/media/index.ts";

const tile = (side: number, color: readonly [number, number, number]) =>
  Uint8Array.from({ length: side * side * 3 }, (_, i) => color[i % 3]!);

describe("contactSheet", () => {
  it("is a PNG with every tile in its place", async () => {
    const colors = [
      [255, 0, 0],
      [0, 255, 0],
      [0, 0, 255],
    ] as const;
    const png = await contactSheet([
      { label: "one <&> two", tiles: [tile(200, colors[0]), tile(200, colors[1])] },
      { tiles: [tile(200, colors[2])] },
    ]);
    const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
    // Gaps of 4, one label of 16, tiles of 200 that are not enlarged.
    expect(info).toMatchObject({ width: 4 + 2 * 204, height: 4 + 16 + 2 * 204, channels: 3 });
    const at = (x: number, y: number) => [...data.subarray(3 * (y * info.width + x), 3 * (y * info.width + x) + 3)];
    expect([at(4, 20), at(203, 219), at(208, 20), at(4, 224)]).toEqual([colors[0], colors[0], colors[1], colors[2]]);
    expect([at(3, 20), at(204, 20), at(208, 224)]).toEqual(Array(3).fill([255, 255, 255]));
  });

  it("enlarges small tiles by a whole number, without blending", async () => {
    const checks = Uint8Array.from(
      { length: 32 * 32 * 3 },
      (_, i) => ((Math.floor(i / 3) + Math.floor(i / 96)) % 2) * 255,
    );
    const { data, info } = await sharp(await contactSheet([{ tiles: [checks] }]))
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: 4 + 128 + 4, height: 4 + 128 + 4 });
    expect(new Set(data)).toEqual(new Set([0, 255]));
  });

  it("draws what XML does not allow in a label as replacement characters, and escapes the rest", async () => {
    const drawn = async (label: string) =>
      await sharp(await contactSheet([{ label, tiles: [tile(200, [0, 0, 0])] }]))
        .raw()
        .toBuffer();
    const replaced = await drawn("a\ufffd<b>&");
    for (const odd of ["\u0000", "\u0007", "\n", "\u007f", "\ufffe", "\uffff", "\ud800"])
      expect(Buffer.compare(await drawn(`a${odd}<b>&`), replaced), JSON.stringify(odd)).toBe(0);
    expect(Buffer.compare(await drawn("a b&"), replaced)).not.toBe(0);
  });

  it("refuses tiles that do not fit together", async () => {
    await expect(contactSheet([{ tiles: [tile(4, [0, 0, 0]), tile(5, [0, 0, 0])] }])).rejects.toThrow(
      "contactSheet: expected square RGB tiles [side, side, 3] of one size, got tiles of 48, 75 bytes in 1 rows.",
    );
    await expect(contactSheet([])).rejects.toThrow("got tiles of no bytes in 0 rows.");
    await expect(contactSheet([{ tiles: [new Uint8Array(10)] }])).rejects.toThrow("got tiles of 10 bytes");
  });
});

describe("drawCondition", () => {
  it("draws classes in their colors and lines black on white", () => {
    const classes = [
      { name: "sky", color: [1, 2, 3] },
      { name: "sea", color: [4, 5, 6] },
    ] as const;
    const [a, b] = [classes[0].color, classes[1].color];
    expect([...drawCondition(Uint8Array.of(1, 0, 0, 1), { kind: "semantic", classes }, 2)]).toEqual(
      [b, a, a, b].flat(),
    );
    expect([...drawCondition(Uint8Array.of(1, 0, 0, 1), { kind: "edges" }, 2)].map(Number)).toEqual(
      [0, 255, 255, 0].flatMap((gray) => [gray, gray, gray]),
    );
    expect(() => drawCondition(Uint8Array.of(0, 2, 0, 0), { kind: "lines" }, 2)).toThrow(
      'pixel 1 holds 2, but a condition of kind "lines" holds 0 to 1.',
    );
  });
});

describe("dataContactSheet", () => {
  it.each([1, 3, 40])("writes a sheet of %i pairs, each once", async (count) => {
    const cacheDir = await mkdtemp(join(tmpdir(), "iqvae-sheet-"));
    const dataset = await openDataset({ name: "faces", condition: "semantic", size: 32, count, cacheDir });
    const path = join(cacheDir, "sheet.png");
    const seen: string[] = [];
    const noting = (split: PairSplit): PairSplit => ({
      ...split,
      batch(indices) {
        seen.push(...Array.from(indices, (index) => split.ids[index]!));
        return split.batch(indices);
      },
    });
    await dataContactSheet({ ...dataset, train: noting(dataset.train), validation: noting(dataset.validation) }, path);
    const shown = [Math.min(36, dataset.train.length), Math.min(12, dataset.validation.length)];
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toHaveLength(shown[0]! + shown[1]!);
    const { format, width, height } = await sharp(path).metadata();
    const rows = shown.reduce((sum, pairs) => sum + Math.ceil(pairs / 6), 0);
    const widest = Math.min(6, Math.max(...shown));
    expect({ format, width, height }).toEqual({ format: "png", width: 4 + 2 * widest * 132, height: 4 + rows * 148 });
    dataset.close();
    await rm(cacheDir, { recursive: true });
  });
});

it("a sheet that no picture can hold is refused by its size, before a tile is there", () => {
  expect(sheetSize([{ label: "one", tiles: 3 }, { tiles: 2 }], 32)).toEqual({ width: 400, height: 284 });
  expect(() => sheetSize([{ label: "many", tiles: 16_501 }], 32)).toThrow(/2178136 × 152 pixels; at most 268402689/);
});
