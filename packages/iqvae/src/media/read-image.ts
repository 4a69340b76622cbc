import type { SemanticSpec } from "../conditions/spec.ts";
import { readLabels } from "./label-map.ts";
import { expectSize, openPicture, type Picture, squareImage, squareLines } from "./picture.ts";

/**
 * Reads a picture: the largest square in its middle, scaled to `size`, on white where it is transparent, turned upright
 * as its EXIF data say.
 *
 * @param path a PNG, JPEG, WebP, AVIF, TIFF, GIF or SVG file
 * @returns RGB bytes `[size, size, 3]`
 * @throws FileProblem for a file that is missing or not a whole image
 */
export async function readImage(path: string, size: number): Promise<Uint8Array> {
  return await squareImage(await openPicture(path), size);
}

const UNSCALED = "Scale it without smoothing (nearest neighbor), or a map would get classes that nobody painted.";

/**
 * Reads a semantic map of exactly `size × size` pixels, as an import does: a gray image of class numbers, or a color image painted in
 * the very colors of the classes, as `drawCondition` shows them; of a PNG with a palette the indices count where the classes are
 * `indexed`.
 *
 * @returns class numbers `[size, size]`
 * @throws FileProblem for another size, a class number out of range or a color of no class, and for a file that is missing, not a
 *   whole image, or was compressed with loss
 */
export async function readLabelMap(path: string, spec: SemanticSpec, size: number): Promise<Uint8Array> {
  return await labelMapOf(await openPicture(path), spec, size);
}

/** As {@link readLabelMap}, of a picture in memory. */
export async function labelMapOf(picture: Picture, spec: SemanticSpec, size: number): Promise<Uint8Array> {
  expectSize(picture, size, UNSCALED);
  return (await readLabels(picture, spec)).labels;
}

/**
 * Reads a line drawing of exactly `size × size` pixels, as an import does: dark pixels are lines.
 *
 * @returns 0 or 1 (line) `[size, size]`
 * @throws FileProblem for another size, and for a file that is missing or not a whole image
 */
export async function readLines(path: string, size: number): Promise<Uint8Array> {
  return await linesOf(await openPicture(path), size);
}

/** As {@link readLines}, of a picture in memory. */
export async function linesOf(picture: Picture, size: number): Promise<Uint8Array> {
  expectSize(picture, size, UNSCALED);
  return await squareLines(picture, size);
}
