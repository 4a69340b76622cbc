import sharp, { type Metadata } from "sharp";
import { plain } from "../raster.ts";
import { readWhole } from "./files.ts";
import { PairProblem } from "./problems.ts";

/** A picture file in memory of which only the header was read. */
export interface Picture {
  readonly path: string;
  readonly bytes: Buffer;
  readonly metadata: Metadata;
  /** In pixels, upright as its EXIF data say. */
  readonly width: number;
  readonly height: number;
}

/** The largest square in the middle of a picture, in its pixels: what an image is cut to. */
export interface Crop {
  readonly left: number;
  readonly top: number;
  readonly side: number;
}

/** @throws PairProblem for what cannot be read, or is no picture */
export async function openPicture(path: string): Promise<Picture> {
  const bytes = await readWhole(path);
  const metadata = await decoding(path, () => sharp(bytes).metadata());
  const { width, height } = metadata.autoOrient;
  return { path, bytes, metadata, width, height };
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
export async function squareImage({ path, bytes, metadata }: Picture, size: number): Promise<Uint8Array> {
  const pixels = await decoding(path, () => {
    const upright = sharp(bytes).autoOrient().resize(size, size, { fit: "cover" });
    const opaque = metadata.hasAlpha ? upright.flatten({ background: "#fff" }) : upright;
    return opaque.toColourspace("srgb").raw().toBuffer();
  });
  if (pixels.length !== size * size * 3) throw new PairProblem("corrupt file", `${path} has no three color channels`);
  return plain(pixels);
}

/** Pixels as they are in the file. */
export interface Pixels {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** All pixels of a map, unscaled: gray, perhaps with opacity, or RGB, perhaps with opacity. */
export async function allPixels({ path, bytes, metadata }: Picture): Promise<Pixels> {
  // Gray pixels would come out as RGB otherwise.
  const space = metadata.space === "b-w" ? "b-w" : "srgb";
  const { data, info } = await decoding(path, () =>
    sharp(bytes).autoOrient().toColourspace(space).raw().toBuffer({ resolveWithObject: true }),
  );
  return { data: plain(data), width: info.width, height: info.height, channels: info.channels };
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
