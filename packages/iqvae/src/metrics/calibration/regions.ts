import type { OpenTrait, Rgb } from "../../data/index.ts";

/** A region of fewer pixels is not read: its colors are mixed with its neighbors'. */
export const FEWEST_PIXELS = 8;

/** Pixels of a region whose four neighbors are of it too; all of its pixels where those would be too few. */
export function interior({ map, label }: NonNullable<OpenTrait["region"]>, size: number): number[] {
  const all: number[] = [];
  map.forEach((value, i) => {
    if (value === label) all.push(i);
  });
  const inner = all.filter((i) => {
    const [x, y] = [i % size, Math.floor(i / size)];
    const neighbors = [x > 0 ? i - 1 : i, x < size - 1 ? i + 1 : i, y > 0 ? i - size : i, y < size - 1 ? i + size : i];
    return neighbors.every((neighbor) => map[neighbor] === label);
  });
  return inner.length >= FEWEST_PIXELS ? inner : all;
}

/** Which of several pictures an image comes closest to in some pixels, by squared difference. */
export function nearestPicture(image: Uint8Array, pictures: readonly Uint8Array[], pixels: readonly number[]): number {
  const apart = pictures.map((picture) => squaredDifference(image, picture, pixels));
  return apart.indexOf(Math.min(...apart));
}

function squaredDifference(a: Uint8Array, b: Uint8Array, pixels: readonly number[]): number {
  let sum = 0;
  for (const pixel of pixels) for (let i = 3 * pixel; i < 3 * pixel + 3; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}

/** Which of several colors is nearest to most of the pixels. */
export function votedColor(image: Uint8Array, colors: readonly Rgb[], pixels: readonly number[]): number {
  const votes = new Float64Array(colors.length);
  for (const pixel of pixels) votes[nearestColor(image, 3 * pixel, colors)]!++;
  return votes.indexOf(Math.max(...votes));
}

function nearestColor(image: Uint8Array, at: number, colors: readonly Rgb[]): number {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  colors.forEach(([r, g, b], k) => {
    const apart = (image[at]! - r) ** 2 + (image[at + 1]! - g) ** 2 + (image[at + 2]! - b) ** 2;
    if (apart < least) [best, least] = [k, apart];
  });
  return best;
}
