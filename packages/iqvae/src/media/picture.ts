import { cropOf, FileProblem, linesOfGray } from "@iqvae/runtime";
import sharp, { type Metadata, type Sharp, type SharpOptions } from "sharp";
import { readWhole } from "./read-file.ts";
import { plain } from "./svg.ts";

/** A picture file in memory of which only the header was read. */
export interface Picture {
  readonly path: string;
  readonly bytes: Buffer;
  /** In pixels, upright as its EXIF data say. */
  readonly width: number;
  readonly height: number;
  readonly header: Metadata;
}

/** The most pixels of a picture, 16,383². A small file may claim any number; its header is asked before anything is decoded. */
const MOST_PIXELS = 0x3fff ** 2;

/** @throws FileProblem for what cannot be read, is not a picture, or is too large a one */
export async function openPicture(path: string): Promise<Picture> {
  return await pictureOf(await readWhole(path), path);
}

/**
 * @param path what to call it in messages
 * @throws FileProblem for what is not a picture, or is too large a one
 */
export async function pictureOf(bytes: Buffer, path: string): Promise<Picture> {
  const header = await attempt(path, () => sharp(bytes, { limitInputPixels: false }).metadata());
  const { width, height } = header.autoOrient;
  const picture = { path, bytes, width, height, header };
  expectPixels(picture, MOST_PIXELS, "a picture");
  return picture;
}

/** @throws FileProblem for a picture of more pixels than `most` */
export function expectPixels({ path, width, height }: Picture, most: number, what: string): void {
  if (width * height <= most) return;
  const million = (pixels: number) => `${Math.round(pixels / 1e6)} million`;
  throw new FileProblem(
    "too large",
    `${path} has ${width} × ${height} pixels, ${million(width * height)}; ${million(most)} are the most of ${what}. Scale it down.`,
  );
}

/**
 * Lets sharp decode a picture.
 *
 * @param task what to do with it; it may be called twice
 * @throws FileProblem for a picture that is not whole, or whose numbers would be cut off
 */
export async function decode<T>(
  { path, bytes, header }: Picture,
  task: (image: Sharp) => Promise<T>,
  options: SharpOptions = {},
): Promise<T> {
  expectDepth(path, header);
  const run = (failOn: "warning" | "error") =>
    task(sharp(bytes, { limitInputPixels: MOST_PIXELS, failOn, ...options }).autoOrient());
  return await attempt(path, () =>
    run("warning").catch((error: Error) => {
      // Some encoders write an odd number into a scan's header, which says nothing in a sequential file. All others read those.
      if (error.message.includes("Invalid SOS parameters")) return run("error");
      throw error;
    }),
  );
}

/** Other numbers are taken as bytes: gray from 0 to 1 comes out black, and what is above 255 white, or anything. */
function expectDepth(path: string, { depth, channels }: Metadata): void {
  if (depth === "uchar" || depth === "ushort" || (depth === "float" && channels >= 3)) return;
  const what = channels >= 3 ? "a picture" : "a gray picture";
  throw new FileProblem(
    "unsuitable format",
    `${path} is ${what} of ${depth} numbers, of which nothing says what is black and what white. Save it with 8 or 16 bits.`,
  );
}

async function attempt<T>(path: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    const reason = (error as Error).message.split("\n")[0]!;
    throw new FileProblem(
      "corrupt file",
      `${path} is not a whole image that can be decoded (${reason}). Expected a PNG, JPEG, WebP, AVIF, TIFF, GIF or SVG file.`,
      { cause: error },
    );
  }
}

/**
 * The middle of a picture, scaled to `size` (Lanczos), on white where it is transparent.
 *
 * @returns RGB bytes `[size, size, 3]`
 * @throws FileProblem for a picture that is not whole
 */
export async function squareImage(picture: Picture, size: number): Promise<Uint8Array> {
  const pixels = await decode(picture, (image) =>
    middle(image, picture).resize(size, size).flatten({ background: "#fff" }).toColorspace("srgb").raw().toBuffer(),
  );
  if (pixels.length === size * size * 3) return plain(pixels);
  throw new FileProblem("corrupt file", `${picture.path} does not have three color channels.`);
}

/**
 * A drawing of dark lines on white, cut to its middle and scaled to `size`.
 *
 * @returns 0 or 1 (line) `[size, size]`
 * @throws FileProblem for a picture that is not whole
 */
export async function squareLines(picture: Picture, size: number): Promise<Uint8Array> {
  const { data, info } = await decode(picture, (image) =>
    middle(image.flatten({ background: "#fff" }), picture)
      .resize(size, size, { kernel: "linear", fastShrinkOnLoad: false })
      .grayscale()
      .raw()
      .toBuffer({ resolveWithObject: true }),
  );
  const gray = Uint8Array.from({ length: size * size }, (_, at) => data[at * info.channels]!);
  return linesOfGray(gray, cropOf(picture).side / size);
}

function middle(image: Sharp, picture: Picture): Sharp {
  const { left, top, side } = cropOf(picture);
  // An extract that takes all keeps sharp from decoding no more of a large JPEG file than it needs.
  return picture.width === picture.height ? image : image.extract({ left, top, width: side, height: side });
}

/** @throws FileProblem for a picture of other than `size × size` pixels */
export function expectSize({ path, width, height }: Picture, size: number, why: string): void {
  if (width === size && height === size) return;
  throw new FileProblem(
    "size mismatch",
    `${path}: expected ${size} × ${size} pixels, got ${width} × ${height}. ${why}`,
  );
}

/**
 * Checks that a map and its image show the same: see {@link haveOneRatio}.
 *
 * @throws FileProblem when they do not, and as {@link expectNotTurned}
 */
export function expectSameShape(map: Picture, image: Picture): void {
  if (!isTurned(map)) expectNotTurned(image, map.path, map);
  if (haveOneRatio(map, image)) return;
  const [a, b] = [map, image].map(({ path, width, height }) => `${path} has ${width} × ${height} pixels`);
  throw new FileProblem("size mismatch", `${a}, but ${b}.`);
}

/**
 * Checks that an image is not to be turned where what belongs to its pixels may belong to them as they are stored: some programs
 * turn pictures by their EXIF data, and others do not.
 *
 * @param what belongs to the image, for messages
 * @param sides of the picture that it belongs to; without them it may be any
 * @throws FileProblem for an image that its EXIF data turn or mirror, where the sides are those of its stored pixels
 */
export function expectNotTurned(image: Picture, what: string, sides?: Sides): void {
  const { path, header } = image;
  if (!isTurned(image) || (sides !== undefined && !haveOneRatio(sides, header))) return;
  throw new FileProblem(
    "unsuitable format",
    `${path} is to be turned by its EXIF orientation ${header.orientation}, and nothing says whether ${what} goes with the turned ` +
      "picture or with the stored pixels. Save the image as it is meant, without an EXIF orientation.",
  );
}

interface Sides {
  readonly width: number;
  readonly height: number;
}

/** Whether sides have one ratio, up to the rounding of a pixel. */
export function haveOneRatio(a: Sides, b: Sides): boolean {
  const apart = Math.abs(a.width * b.height - a.height * b.width);
  return apart < Math.max(a.width, a.height, b.width, b.height);
}

function isTurned({ header }: Picture): boolean {
  return (header.orientation ?? 1) > 1;
}
