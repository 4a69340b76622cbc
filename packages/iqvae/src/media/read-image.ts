import { access } from "node:fs/promises";
import sharp, { type Metadata, type Sharp } from "sharp";
import type { SemanticClass } from "../conditions/index.ts";
import { plain } from "./svg.ts";

/**
 * Reads a picture: the largest square in its middle, scaled to `size`, on white where it is transparent, turned upright
 * as its EXIF data say.
 *
 * @param path a PNG, JPEG, WebP, AVIF, TIFF, GIF or SVG file
 * @returns RGB bytes `[size, size, 3]`
 * @throws Error for a file that is missing or no whole image
 */
export async function readImage(path: string, size: number): Promise<Uint8Array> {
  const pixels = await decode("readImage", path, (image) =>
    image
      .rotate()
      .resize(size, size, { fit: "cover" })
      .flatten({ background: "#fff" })
      .toColorspace("srgb")
      .raw()
      .toBuffer(),
  );
  return plain(pixels);
}

/**
 * Reads a semantic map of exactly `size × size` pixels: a gray image of class numbers, or a color image painted in the
 * very colors of the classes, as `drawCondition` shows them.
 *
 * @returns class numbers `[size, size]`
 * @throws RangeError for another size, a class number out of range or a color of no class
 */
export async function readLabelMap(path: string, classes: readonly SemanticClass[], size: number): Promise<Uint8Array> {
  const { data, channels, metadata } = await readPixels("readLabelMap", path, size);
  if (channels > 1) return labelsFromColors(data, classes, path, size);
  if (metadata.depth !== "uchar" || (metadata.bitsPerSample ?? 8) < 8) {
    throw new RangeError(
      `readLabelMap("${path}"): expected a gray image with 8 bits a pixel, got ${metadata.bitsPerSample ?? metadata.depth}. ` +
        `Save it with 8 bits, or as a color image in the colors of the classes.`,
    );
  }
  const at = data.findIndex((label) => label >= classes.length);
  if (at >= 0) {
    throw new RangeError(
      `readLabelMap("${path}"): label ${data[at]} at ${position(at, size)} is out of range. There are ${classes.length} ` +
        `classes, 0 to ${classes.length - 1}: ${classes.map(({ name }) => name).join(", ")}.`,
    );
  }
  return data;
}

function labelsFromColors(data: Uint8Array, classes: readonly SemanticClass[], path: string, size: number): Uint8Array {
  const labels = new Map(classes.map(({ color: [r, g, b] }, label) => [(r << 16) | (g << 8) | b, label]));
  return Uint8Array.from({ length: size * size }, (_, at) => {
    const [r, g, b] = [data[3 * at]!, data[3 * at + 1]!, data[3 * at + 2]!];
    const label = labels.get((r << 16) | (g << 8) | b);
    if (label !== undefined) return label;
    throw new RangeError(
      `readLabelMap("${path}"): the color ${hex([r, g, b])} at ${position(at, size)} is that of no class. Paint without ` +
        `soft edges, in ${classes.map(({ name, color }) => `${hex(color)} (${name})`).join(", ")}.`,
    );
  });
}

/**
 * Reads a line drawing of exactly `size × size` pixels: dark pixels are lines.
 *
 * @returns 0 or 1 (line) `[size, size]`
 * @throws RangeError for another size
 */
export async function readLines(path: string, size: number): Promise<Uint8Array> {
  const { data, channels } = await readPixels("readLines", path, size);
  // Green weighs most in what looks dark, and it is enough for a drawing in one ink.
  return Uint8Array.from({ length: size * size }, (_, at) => (data[at * channels + (channels >> 1)]! < 128 ? 1 : 0));
}

/** The pixels of an image of exactly `size × size`, with one or three channels, on white. */
async function readPixels(caller: string, path: string, size: number) {
  const metadata = await decode(caller, path, (image) => image.metadata());
  expectSquare(caller, path, metadata, size);
  const gray = metadata.channels <= 2;
  const { data, info } = await decode(caller, path, (image) => {
    const flat = metadata.hasAlpha ? image.flatten({ background: "#fff" }) : image;
    return flat
      .toColorspace(gray ? "b-w" : "srgb")
      .raw()
      .toBuffer({ resolveWithObject: true });
  });
  return { data: plain(data), channels: info.channels, metadata };
}

function expectSquare(caller: string, path: string, { width, height }: Metadata, size: number): void {
  if (width === size && height === size) return;
  throw new RangeError(
    `${caller}("${path}"): expected ${size} × ${size} pixels, got ${width} × ${height}. ` +
      `Scale it without smoothing (nearest neighbor), or a map would get classes that nobody painted.`,
  );
}

async function decode<T>(caller: string, path: string, task: (image: Sharp) => Promise<T>): Promise<T> {
  try {
    await access(path);
  } catch (error) {
    throw new Error(`${caller}("${path}"): there is no such file that can be read.`, { cause: error });
  }
  try {
    return await task(sharp(path));
  } catch (error) {
    throw new Error(
      `${caller}("${path}"): this is no image that can be decoded (${(error as Error).message}). ` +
        `Expected a whole PNG, JPEG, WebP, AVIF, TIFF, GIF or SVG file.`,
      { cause: error },
    );
  }
}

function position(at: number, size: number): string {
  return `x = ${at % size}, y = ${Math.floor(at / size)}`;
}

function hex(color: readonly number[]): string {
  return `#${color.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}
