import type { PartialImage } from "../media/index.ts";

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
