import sharp from "sharp";
import type { Rgb, SemanticClass } from "../../conditions/index.ts";
import { allPixels, cropOf, decoding, keepNearest, type Picture, type Pixels } from "./pictures.ts";
import { PairProblem } from "./problems.ts";

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
  const { depth, bitsPerSample = 8, isPalette } = picture.metadata;
  if (depth !== "uchar") {
    const bits = picture.metadata.bitsPerSample ?? depth;
    throw new PairProblem("unknown class or color", `${picture.path} has ${bits} bits a pixel; save it with 8`);
  }
  const pixels = await allPixels(picture);
  const labels =
    pixels.channels > 2
      ? byColor(pixels, colorTable(picture, classes, style), picture.path)
      : // Fewer than 8 bits are spread over 0 … 255 when they are decoded.
        byNumber(pixels, isPalette ? 1 : 255 / (2 ** bitsPerSample - 1), classes, picture.path);
  return keepNearest(labels, pixels, size);
}

const UNKNOWN = 255;

function byNumber({ data, channels, width }: Pixels, step: number, classes: readonly unknown[], path: string) {
  const count = classes.length;
  const labels = channels === 1 && step === 1 ? data : new Uint8Array(data.length / channels);
  for (let i = 0, at = 0; i < labels.length; i++, at += channels) {
    const label = data[at]! / step;
    if (label >= count) {
      throw new PairProblem(
        "unknown class or color",
        `${path} holds ${label} at ${place(i, width)}, but there are ${count} classes, numbered from 0`,
      );
    }
    if (labels !== data) labels[i] = label;
  }
  return labels;
}

function byColor({ data, channels, width }: Pixels, labels: ReadonlyMap<number, number>, path: string): Uint8Array {
  const out = new Uint8Array(data.length / channels);
  // Neighbors are mostly of one color, so most look-ups are spared.
  let [last, label] = [-1, UNKNOWN];
  for (let i = 0, at = 0; i < out.length; i++, at += channels) {
    const color = (data[at]! << 16) | (data[at + 1]! << 8) | data[at + 2]!;
    if (color !== last) {
      const found = labels.get(color);
      if (found === undefined) {
        const text = color.toString(16).padStart(6, "0");
        throw new PairProblem(
          "unknown class or color",
          `${path} has the color #${text} at ${place(i, width)}, which stands for no class`,
        );
      }
      [last, label] = [color, found];
    }
    out[i] = label;
  }
  return out;
}

function colorTable({ bytes, path }: Picture, classes: readonly SemanticClass[], style: MapStyle) {
  const colors = style === "colors" ? classes.map(({ color }) => color) : paletteOf(bytes)?.slice(0, classes.length);
  if (colors === undefined) {
    throw new PairProblem(
      "unknown class or color",
      `${path} is painted in colors, but numbers are expected: a gray PNG, or one with a palette. Or give each class its color`,
    );
  }
  const table = new Map<number, number>();
  colors.forEach(([r, g, b], label) => {
    const key = (r << 16) | (g << 8) | b;
    // Of a color that a palette holds twice, the decoded pixels do not tell which is meant; the first is what writers use.
    if (!table.has(key)) table.set(key, label);
  });
  return table;
}

/** The palette of a PNG file (PNG specification, 11.2.3 PLTE), if it has one. */
export function paletteOf(bytes: Uint8Array): Rgb[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const SIGNATURE = 8;
  for (let at = SIGNATURE; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (at + 12 + length > bytes.length || type === "IDAT") return undefined;
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (type === "PLTE")
      return Array.from({ length: Math.floor(length / 3) }, (_, i) => [
        body[3 * i]!,
        body[3 * i + 1]!,
        body[3 * i + 2]!,
      ]);
    at += 12 + length;
  }
  return undefined;
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
      .greyscale()
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
