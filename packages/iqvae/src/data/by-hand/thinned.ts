/**
 * Lines of one pixel's breadth (T. Y. Zhang and C. Y. Suen, "A fast parallel algorithm for thinning digital patterns", 1984).
 *
 * @param lines bytes `[size, size]`, 0 where there is no ink
 * @returns bytes `[size, size]`, 0 and 1
 */
export function thinned(lines: Uint8Array, size: number): Uint8Array {
  const out = lines.map((value) => Number(value !== 0));
  let ink = [...out.keys()].filter((pixel) => out[pixel]);
  for (let before = Number.POSITIVE_INFINITY; ink.length < before; ) {
    before = ink.length;
    for (const isSecond of [false, true]) {
      for (const pixel of ink.filter((one) => isSpare(around(out, size, one), isSecond))) out[pixel] = 0;
      ink = ink.filter((pixel) => out[pixel]);
    }
  }
  return out;
}

/** Whether a pixel can go without parting a line: by its neighbors, clockwise from above. */
function isSpare(near: readonly number[], isSecond: boolean): boolean {
  const count = near.reduce((sum, value) => sum + value, 0);
  if (count < 2 || count > 6) return false;
  if (near.filter((value, i) => value === 0 && near[(i + 1) % 8] === 1).length !== 1) return false;
  const [up, , right, , down, , left] = near as [number, number, number, number, number, number, number, number];
  return isSecond
    ? !(up && right && left) && !(up && down && left)
    : !(up && right && down) && !(right && down && left);
}

/** Where the eight neighbors are, clockwise from above. */
export const AROUND = [
  [0, -1],
  [1, -1],
  [1, 0],
  [1, 1],
  [0, 1],
  [-1, 1],
  [-1, 0],
  [-1, -1],
] as const;

/** The eight neighbors' values, as `AROUND` has them; 0 beyond the sides. */
export function around(lines: Uint8Array, size: number, pixel: number): number[] {
  const [x, y] = [pixel % size, Math.floor(pixel / size)];
  return AROUND.map(([dx, dy]) => {
    const [u, v] = [x + dx, y + dy];
    return u >= 0 && u < size && v >= 0 && v < size ? lines[v * size + u]! : 0;
  });
}
