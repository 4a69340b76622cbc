import sharp, { type Metadata, type Sharp } from "sharp";
import type { Rgb } from "../../../conditions/index.ts";
import { halve, plain } from "../../../media/svg.ts";
import { PairProblem } from "../problems.ts";
import { readWhole } from "./files.ts";
import { jpegPixels, plainJpeg } from "./jpeg.ts";
import { type PlainPng, paletteOf, plainPng, pngPixels } from "./png.ts";

/** A picture file in memory of which only the header was read. */
export interface Picture {
  readonly path: string;
  readonly bytes: Buffer;
  /** In pixels, upright as its EXIF data say. */
  readonly width: number;
  readonly height: number;
  /** Of a common file, whose pixels can be read without sharp. */
  readonly png?: PlainPng;
  /** Whether it is a JPEG file of the common kind, the same. */
  readonly jpeg?: boolean;
}

/** The largest square in the middle of a picture, in its pixels: what an image is cut to. */
export interface Crop {
  readonly left: number;
  readonly top: number;
  readonly side: number;
}

/**
 * Headers of common PNG and JPEG files are read here, since sharp takes longer for one than PIL for a small picture's pixels. It
 * has the word on all others, broken ones included.
 *
 * @throws PairProblem for what cannot be read, or is no picture
 */
export async function openPicture(path: string): Promise<Picture> {
  const bytes = await readWhole(path);
  const png = plainPng(bytes);
  if (png !== undefined) return { path, bytes, width: png.width, height: png.height, png };
  const jpeg = plainJpeg(bytes);
  if (jpeg !== undefined) return { path, bytes, ...jpeg, jpeg: true };
  const { width, height } = (await metadataOf(path, bytes)).autoOrient;
  return { path, bytes, width, height };
}

function metadataOf(path: string, bytes: Buffer): Promise<Metadata> {
  return decoding(path, () => sharp(bytes).metadata());
}

export function cropOf({ width, height }: { readonly width: number; readonly height: number }): Crop {
  const side = Math.min(width, height);
  return { left: Math.floor((width - side) / 2), top: Math.floor((height - side) / 2), side };
}

/**
 * The middle of a picture, scaled to `size`, on white where it is transparent.
 *
 * @returns RGB bytes `[size, size, 3]`
 * @throws PairProblem for a picture that is not whole
 */
export async function squareImage(picture: Picture, size: number): Promise<Uint8Array> {
  const { side } = cropOf(picture);
  // For small pictures, setting sharp up to scale takes longer than the scaling. Half the size is the mean of four pixels, which
  // is also what it does with a JPEG file.
  const isSmall = side <= LARGEST_BY_HAND;
  if (isSmall && side === size) return await middleOf(picture);
  if (isSmall && side === 2 * size) return halve(await middleOf(picture), size);
  if (isSmall && side === 4 * size) return halve(halve(await middleOf(picture), 2 * size), size);
  const pixels = await decoding(picture.path, () =>
    finished(sharp(picture.bytes).autoOrient().resize(size, size, { fit: "cover" })),
  );
  return expectRgb(picture, pixels, size);
}

/** Side in pixels. From larger JPEG files sharp decodes no more than it needs. */
const LARGEST_BY_HAND = 512;

/** The largest square in the middle, unscaled. */
async function middleOf(picture: Picture): Promise<Uint8Array> {
  const { path, bytes, width, height } = picture;
  const crop = cropOf(picture);
  const all = await pixelsByHand(picture);
  if (all?.length === width * height * 3) return cut(all, width, crop);
  const pixels = await decoding(path, () => {
    const upright = sharp(bytes).autoOrient();
    // An extract that takes all is not free.
    return finished(width === height ? upright : upright.extract({ ...crop, width: crop.side, height: crop.side }));
  });
  return expectRgb(picture, pixels, crop.side);
}

/** RGB bytes of all of a picture, or `undefined` where it takes sharp. */
async function pixelsByHand({ bytes, png, jpeg }: Picture): Promise<Uint8Array | undefined> {
  if (jpeg) return await jpegPixels(bytes);
  return png?.channels === 3 ? pngPixels(png) : undefined;
}

/** A square of RGB bytes `[…, width, 3]`. */
function cut(pixels: Uint8Array, width: number, { left, top, side }: Crop): Uint8Array {
  if (width === side) return pixels.subarray(top * width * 3, (top + side) * width * 3);
  const square = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++) {
    const first = ((top + y) * width + left) * 3;
    square.set(pixels.subarray(first, first + side * 3), y * side * 3);
  }
  return square;
}

function finished(image: Sharp): Promise<Buffer> {
  return image.flatten({ background: "#fff" }).toColorspace("srgb").raw().toBuffer();
}

function expectRgb({ path }: Picture, pixels: Buffer, size: number): Uint8Array {
  if (pixels.length === size * size * 3) return plain(pixels);
  throw new PairProblem("corrupt file", `${path} has no three color channels`);
}

/** Pixels as they are in the file. */
export interface Pixels {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  /** Of a gray number: the largest is `2 ** bits - 1`. */
  readonly bits: number;
  /** The palette of the file. With one channel, the numbers are its indices. */
  readonly palette?: readonly Rgb[] | undefined;
}

/**
 * All pixels of a map, unscaled: gray or indices, or RGB; gray and RGB perhaps with opacity.
 *
 * @throws PairProblem for a picture that is not whole, and for one with more than 8 bits
 */
export async function allPixels({ path, bytes, png }: Picture): Promise<Pixels> {
  const stored = png && pngPixels(png);
  if (png && stored) return { ...png, data: stored };
  const { space, depth, bitsPerSample } = await metadataOf(path, bytes);
  if (depth !== "uchar") {
    const bits = bitsPerSample ?? depth;
    throw new PairProblem("unknown class or color", `${path} has ${bits} bits a pixel; save it with 8`);
  }
  // Gray pixels would come out as RGB otherwise.
  const gray = space === "b-w";
  const { data, info } = await decoding(path, () =>
    sharp(bytes)
      .autoOrient()
      .toColorspace(gray ? "b-w" : "srgb")
      .raw()
      .toBuffer({ resolveWithObject: true }),
  );
  const { width, height, channels } = info;
  const bits = gray ? (bitsPerSample ?? 8) : 8;
  // Fewer than 8 bits were spread over 0 … 255.
  const pixels = bits === 8 ? plain(data) : Uint8Array.from(data, (value) => value >> (8 - bits));
  return { data: pixels, width, height, channels, bits, palette: paletteOf(bytes) };
}

/** Runs what decodes a file. @throws PairProblem when it cannot be decoded */
export async function decoding<T>(path: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    const reason = (error as Error).message.split("\n")[0]!;
    throw new PairProblem("corrupt file", `${path} is no whole picture (${reason})`, { cause: error });
  }
}

/**
 * Checks that a map and its image show the same: their sides have one ratio, up to the rounding of a pixel.
 *
 * @throws PairProblem when they do not
 */
export function expectSameShape(map: Picture, image: Picture): void {
  const apart = Math.abs(map.width * image.height - map.height * image.width);
  if (apart < Math.max(map.width, map.height, image.width, image.height)) return;
  const [a, b] = [map, image].map(({ path, width, height }) => `${path} has ${width} × ${height} pixels`);
  throw new PairProblem("size mismatch", `${a}, but ${b}`);
}

/** Keeps one pixel of many: the nearest to each of a picture that is cut to its middle and scaled to `size`. */
export function keepNearest(
  labels: Uint8Array,
  shape: { readonly width: number; readonly height: number },
  size: number,
): Uint8Array {
  const { left, top, side } = cropOf(shape);
  const nearest = (i: number) => Math.min(side - 1, Math.floor(((i + 0.5) * side) / size));
  const columns = Uint32Array.from({ length: size }, (_, x) => left + nearest(x));
  const kept = new Uint8Array(size * size);
  for (let y = 0, at = 0; y < size; y++) {
    const row = (top + nearest(y)) * shape.width;
    for (let x = 0; x < size; x++, at++) kept[at] = labels[row + columns[x]!]!;
  }
  return kept;
}
