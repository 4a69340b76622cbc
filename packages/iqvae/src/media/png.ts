import sharp from "sharp";

/**
 * A picture as a PNG file.
 *
 * @param pixels RGB bytes `[side, side, 3]`
 */
export async function pngOf(pixels: Uint8Array, side: number): Promise<Buffer> {
  return await sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
    .png()
    .toBuffer();
}
