import sharp from "sharp";

/**
 * Draws an SVG whose root element carries its size in pixels and which covers all of its canvas.
 *
 * @returns RGB bytes `[H, W, 3]`
 */
export async function rasterise(svg: string): Promise<Uint8Array> {
  return plain(await sharp(Buffer.from(svg)).removeAlpha().raw().toBuffer());
}

/** A `Buffer` as what it is a view of: a `Buffer` slices, prints and compares in its own way. */
export function plain(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/**
 * Averages blocks of `factor × factor` pixels.
 *
 * @param pixels RGB bytes `[size·factor, size·factor, 3]`
 * @returns RGB bytes `[size, size, 3]`
 */
export function shrink(pixels: Uint8Array, size: number, factor: number): Uint8Array {
  const stride = size * factor * 3;
  const area = factor * factor;
  const out = new Uint8Array(size * size * 3);
  for (let y = 0, at = 0; y < size; y++) {
    for (let x = 0; x < size; x++, at += 3) {
      // Three sums side by side take half the time of a loop over channels.
      let r = area >> 1;
      let [g, b] = [r, r];
      const corner = (y * stride + 3 * x) * factor;
      const end = corner + factor * stride;
      for (let row = corner; row < end; row += stride) {
        for (let pixel = row; pixel < row + 3 * factor; pixel += 3) {
          r += pixels[pixel]!;
          g += pixels[pixel + 1]!;
          b += pixels[pixel + 2]!;
        }
      }
      out[at] = r / area;
      out[at + 1] = g / area;
      out[at + 2] = b / area;
    }
  }
  return out;
}

/** How much of each pixel is ink: `[size, size]` in 0 (white) … 255 (black), from RGB bytes of the same size. */
export function inkOf(pixels: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: pixels.length / 3 }, (_, i) => 255 - pixels[3 * i + 1]!);
}
