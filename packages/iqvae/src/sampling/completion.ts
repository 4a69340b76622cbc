import { access } from "node:fs/promises";
import sharp from "sharp";

/** A picture of which parts are given. */
export interface PartialImage {
  /** RGB bytes `[size, size, 3]`; what is not given may hold anything. */
  readonly image: Uint8Array;
  /** `[size, size]`: not 0 where the image is given, 0 where it is to be drawn. */
  readonly mask: Uint8Array;
}

/**
 * Which tokens are given: those whose pixels all are.
 *
 * @param size pixels a side
 * @param side tokens a side
 * @returns a flag for each token, in raster order
 */
export function givenTokens(mask: Uint8Array, size: number, side: number): boolean[] {
  const patch = size / side;
  return Array.from({ length: side * side }, (_, token) => {
    const [top, left] = [Math.floor(token / side) * patch, (token % side) * patch];
    for (let y = top; y < top + patch; y++)
      for (let x = left; x < left + patch; x++) if (mask[y * size + x] === 0) return false;
    return true;
  });
}

/**
 * The image with the mean color of what is given in place of what is not [O]: the encoder looks beyond a token's own pixels,
 * and what the user left in the hole must not show in the tokens around it.
 */
export function withoutHole({ image, mask }: PartialImage): Uint8Array {
  const sums = [0, 0, 0];
  let count = 0;
  mask.forEach((given, i) => {
    if (given === 0) return;
    for (let c = 0; c < 3; c++) sums[c]! += image[3 * i + c]!;
    count++;
  });
  const mean = sums.map((sum) => Math.round(count === 0 ? 127 : sum / count));
  return image.map((value, i) => (mask[Math.floor(i / 3)] === 0 ? mean[i % 3]! : value));
}

/** The drawn image with the given pixels as they were: tokens keep them only roughly. */
export function withGivenPixels(drawn: Uint8Array, { image, mask }: PartialImage): Uint8Array {
  return drawn.map((value, i) => (mask[Math.floor(i / 3)] === 0 ? value : image[i]!));
}

/** @throws RangeError when image and mask are not of the size. */
export function checkPartial({ image, mask }: PartialImage, size: number): void {
  if (image.length === size * size * 3 && mask.length === size * size) return;
  throw new RangeError(
    `complete() takes an image of ${size} × ${size} RGB pixels (${size * size * 3} bytes) and a mask of as many pixels ` +
      `(${size * size} bytes), but got ${image.length} and ${mask.length} bytes`,
  );
}

/**
 * Reads a partly given image. The mask is a picture of the same size, light where the image is given, dark where it is to be
 * drawn; without one, the image is given where it is not transparent.
 *
 * @throws Error for a file that is no image or of another size, and for an image without a mask or transparency
 */
export async function readPartialImage(
  path: string,
  maskPath: string | undefined,
  size: number,
): Promise<PartialImage> {
  const pixels = await readRgba(path, size);
  const image = Uint8Array.from({ length: size * size * 3 }, (_, i) => pixels[Math.floor(i / 3) * 4 + (i % 3)]!);
  if (maskPath !== undefined) return { image, mask: await readMask(maskPath, size) };
  const mask = Uint8Array.from({ length: size * size }, (_, i) => (pixels[4 * i + 3]! < 255 ? 0 : 1));
  if (mask.every((given) => given === 1))
    throw new Error(
      `${path} has no transparent pixel, so nothing of it is to be drawn. Erase a part of it, or give a --mask that is ` +
        `light where the image is to stay and dark where it is to be drawn.`,
    );
  return { image, mask };
}

/** Reads a mask: 1 where it is light and opaque, 0 elsewhere. @throws Error as {@link readPartialImage} */
export async function readMask(path: string, size: number): Promise<Uint8Array> {
  const pixels = await readRgba(path, size);
  return Uint8Array.from({ length: size * size }, (_, i) =>
    pixels[4 * i + 3]! >= 128 && pixels[4 * i]! + pixels[4 * i + 1]! + pixels[4 * i + 2]! >= 3 * 128 ? 1 : 0,
  );
}

async function readRgba(path: string, size: number): Promise<Uint8Array> {
  await access(path).catch((cause: unknown) => {
    throw new Error(`${path}: there is no such file that can be read.`, { cause });
  });
  const decoded = await sharp(path)
    .toColourspace("srgb")
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch((cause: unknown) => {
      throw new Error(`${path} is no image that can be decoded (${(cause as Error).message}).`, { cause });
    });
  const { data, info } = decoded;
  if (info.width !== size || info.height !== size)
    throw new RangeError(
      `${path}: expected ${size} × ${size} pixels, as this run draws them, got ${info.width} × ${info.height}.`,
    );
  return new Uint8Array(data);
}
