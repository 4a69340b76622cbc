/** A region of fewer pixels is not read: its colors are mixed with its neighbors'. */
export const FEWEST_PIXELS = 8;

/** Pixels of a class whose four neighbors are of it too; all of its pixels where those would be too few. */
export function interior(map: Uint8Array, wanted: number, size: number): number[] {
  const all: number[] = [];
  map.forEach((value, i) => {
    if (value === wanted) all.push(i);
  });
  const inner = all.filter((i) => {
    const [x, y] = [i % size, Math.floor(i / size)];
    const neighbors = [x > 0 ? i - 1 : i, x < size - 1 ? i + 1 : i, y > 0 ? i - size : i, y < size - 1 ? i + size : i];
    return neighbors.every((neighbor) => map[neighbor] === wanted);
  });
  return inner.length >= FEWEST_PIXELS ? inner : all;
}

/** Which of several pictures an image comes closest to in some pixels, by squared difference. */
export function nearestPicture(
  image: Uint8Array,
  pictures: readonly Uint8Array[],
  pixels: readonly number[] | undefined,
): number {
  const apart = pictures.map((picture) => squaredDifference(image, picture, pixels));
  return apart.indexOf(Math.min(...apart));
}

function squaredDifference(a: Uint8Array, b: Uint8Array, pixels: readonly number[] | undefined): number {
  let sum = 0;
  if (pixels === undefined) for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  else for (const pixel of pixels) for (let i = 3 * pixel; i < 3 * pixel + 3; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}
