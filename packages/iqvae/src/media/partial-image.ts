import { decode, expectSize, openPicture } from "./picture.ts";

/** A picture of which parts are given. */
export interface PartialImage {
  /** RGB bytes `[size, size, 3]`; what is not given may hold anything. */
  readonly image: Uint8Array;
  /** `[size, size]`: not 0 where the image is given, 0 where it is to be drawn. */
  readonly mask: Uint8Array;
}

/**
 * Reads a partly given image. The mask is a picture of the same size, light where the image is given, dark where it is to be
 * drawn; without one, the image is given where it is not transparent.
 *
 * @throws FileProblem for a file that is not an image or of another size; Error for an image without a mask or transparency
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

/** Reads a mask: 1 where it is light and opaque, 0 elsewhere. @throws FileProblem as {@link readPartialImage} */
export async function readMask(path: string, size: number): Promise<Uint8Array> {
  const pixels = await readRgba(path, size);
  return Uint8Array.from({ length: size * size }, (_, i) =>
    pixels[4 * i + 3]! >= 128 && pixels[4 * i]! + pixels[4 * i + 1]! + pixels[4 * i + 2]! >= 3 * 128 ? 1 : 0,
  );
}

async function readRgba(path: string, size: number): Promise<Uint8Array> {
  const picture = await openPicture(path);
  expectSize(picture, size, "That is what this run draws.");
  return new Uint8Array(await decode(picture, (image) => image.toColorspace("srgb").ensureAlpha().raw().toBuffer()));
}
