import sharp from "sharp";
import type { Rgb, SemanticClass } from "../../../conditions/index.ts";
import { PairProblem } from "../problems.ts";
import { allPixels, cropOf, decoding, keepNearest, type Picture, type Pixels } from "./pictures.ts";
import { allBelow } from "./png.ts";

/**
 * How pixels of a semantic map name classes: `numbers` by the gray value, or by the index in a PNG's palette; `colors` by
 * the color that the class has, gray maps by number all the same.
 */
export type MapStyle = "numbers" | "colors";

/**
 * A semantic map, cut to its middle and scaled to `size` by the nearest pixel. Every pixel is checked, not only those that
 * are kept.
 *
 * @returns class numbers `[size, size]`
 * @throws PairProblem for a class or a color that is unknown
 */
export async function squareMap(
  picture: Picture,
  classes: readonly SemanticClass[],
  style: MapStyle,
  size: number,
): Promise<Uint8Array> {
  const { path } = picture;
  const pixels = await allPixels(picture);
  const { channels, palette } = pixels;
  if (channels <= 2 && palette === undefined) return keepNearest(byNumber(pixels, classes.length, path), pixels, size);
  const table = colorTable(path, palette, classes, style);
  const labels = channels === 1 ? byIndex(pixels, palette!, table, path) : byColor(pixels, table, path);
  return keepNearest(labels, pixels, size);
}

const UNKNOWN = 255;

function byNumber({ data, channels, width }: Pixels, count: number, path: string): Uint8Array {
  const labels = channels === 1 ? data : data.filter((_, at) => at % channels === 0);
  if (allBelow(labels, count)) return labels;
  const at = labels.findIndex((label) => label >= count);
  throw new PairProblem(
    "unknown class or color",
    `${path} holds ${labels[at]} at ${place(at, width)}, but there are ${count} classes, numbered from 0`,
  );
}

type ColorTable = ReadonlyMap<number, number>;

function byIndex({ data, width }: Pixels, palette: readonly Rgb[], table: ColorTable, path: string): Uint8Array {
  const labels = Uint8Array.from(palette, (color) => table.get(keyOf(color)) ?? UNKNOWN);
  const out = new Uint8Array(data.length);
  for (let i = 0; i < out.length; i++) {
    const label = labels[data[i]!]!;
    if (label === UNKNOWN) throw unknownColor(keyOf(palette[data[i]!]!), i, width, path);
    out[i] = label;
  }
  return out;
}

function byColor({ data, channels, width }: Pixels, table: ColorTable, path: string): Uint8Array {
  const out = new Uint8Array(data.length / channels);
  // Neighbors are mostly of one color, so most look-ups are spared.
  let [last, label] = [-1, UNKNOWN];
  for (let i = 0, at = 0; i < out.length; i++, at += channels) {
    const color = (data[at]! << 16) | (data[at + 1]! << 8) | data[at + 2]!;
    if (color !== last) {
      const found = table.get(color);
      if (found === undefined) throw unknownColor(color, i, width, path);
      [last, label] = [color, found];
    }
    out[i] = label;
  }
  return out;
}

function unknownColor(color: number, at: number, width: number, path: string): PairProblem {
  const text = color.toString(16).padStart(6, "0");
  return new PairProblem(
    "unknown class or color",
    `${path} has the color #${text} at ${place(at, width)}, which stands for no class`,
  );
}

function keyOf([r, g, b]: Rgb): number {
  return (r << 16) | (g << 8) | b;
}

function colorTable(
  path: string,
  palette: readonly Rgb[] | undefined,
  classes: readonly SemanticClass[],
  style: MapStyle,
): ColorTable {
  const colors = style === "colors" ? classes.map(({ color }) => color) : palette?.slice(0, classes.length);
  if (colors === undefined) {
    throw new PairProblem(
      "unknown class or color",
      `${path} is painted in colors, but numbers are expected: a gray PNG, or one with a palette. Or give each class its color`,
    );
  }
  const table = new Map<number, number>();
  colors.forEach((color, label) => {
    // Of a color that a palette holds twice, the decoded pixels do not tell which is meant; the first is what writers use.
    if (!table.has(keyOf(color))) table.set(keyOf(color), label);
  });
  return table;
}

/**
 * A drawing of dark lines on white, cut to its middle and scaled to `size`. A pixel is a line when at least half as much of
 * it is ink as a line of one pixel would leave there, so that thin lines of a large drawing do not vanish [O].
 *
 * @returns 0 or 1 (line) `[size, size]`
 */
export async function squareLines({ path, bytes, width, height }: Picture, size: number): Promise<Uint8Array> {
  const pixels = await decoding(path, () =>
    sharp(bytes)
      .autoOrient()
      .flatten({ background: "#fff" })
      .resize(size, size, { fit: "cover", kernel: "linear", fastShrinkOnLoad: false })
      .grayscale()
      .raw()
      .toBuffer({ resolveWithObject: true }),
  );
  const { channels } = pixels.info;
  const ink = (0.5 * 255) / Math.max(1, cropOf({ width, height }).side / size);
  return Uint8Array.from({ length: size * size }, (_, at) => (255 - pixels.data[at * channels]! >= ink ? 1 : 0));
}

function place(at: number, width: number): string {
  return `x = ${at % width}, y = ${Math.floor(at / width)}`;
}
