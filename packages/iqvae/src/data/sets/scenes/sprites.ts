import { readRaster } from "../../../media/raster.ts";
import type { EmojiIcon } from "../emoji/concepts.ts";

/** A drawing without its margins: RGBA bytes `[height, width, 4]`. */
export interface Sprite {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Side at which drawings are rendered before they are cut out, in pixels: larger than any box. */
const RENDERED = 160;

/** A drawing, cut to what is not transparent, so that its box is what a person would draw around it. */
export async function spriteOf({ body, width, height }: EmojiIcon): Promise<Sprite> {
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
    `width="${RENDERED}" height="${RENDERED}" viewBox="0 0 ${width} ${height}">${body}</svg>`;
  return cutOut((await readRaster(Buffer.from(svg), 4)).pixels);
}

function cutOut(pixels: Uint8Array): Sprite {
  let [left, top, right, bottom] = [RENDERED, RENDERED, -1, -1];
  for (let y = 0; y < RENDERED; y++) {
    for (let x = 0; x < RENDERED; x++) {
      if (pixels[4 * (y * RENDERED + x) + 3]! < 128) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    }
  }
  const [width, height] = [right - left + 1, bottom - top + 1];
  const cut = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) {
    const from = 4 * ((top + y) * RENDERED + left);
    cut.set(pixels.subarray(from, from + 4 * width), 4 * y * width);
  }
  return { pixels: cut, width, height };
}

/** Left, top, width and height in pixels of the picture, not whole numbers as a rule. */
export interface Place {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Samples a side that are averaged for a pixel. */
const SAMPLES = 3;

/**
 * Draws a sprite over a picture, stretched to its place.
 *
 * @param picture RGB bytes `[side, side, 3]`, changed
 */
export function stamp(picture: Uint8Array, side: number, sprite: Sprite, { left, top, width, height }: Place): void {
  const [first, last] = [Math.max(0, Math.floor(top)), Math.min(side - 1, Math.ceil(top + height))];
  const [from, to] = [Math.max(0, Math.floor(left)), Math.min(side - 1, Math.ceil(left + width))];
  for (let y = first; y <= last; y++) {
    for (let x = from; x <= to; x++) {
      let [r, g, b, alpha] = [0, 0, 0, 0];
      for (let sample = 0; sample < SAMPLES * SAMPLES; sample++) {
        const u = (x + ((sample % SAMPLES) + 0.5) / SAMPLES - left) / width;
        const v = (y + (Math.floor(sample / SAMPLES) + 0.5) / SAMPLES - top) / height;
        if (u < 0 || v < 0 || u >= 1 || v >= 1) continue;
        const at = 4 * (Math.floor(v * sprite.height) * sprite.width + Math.floor(u * sprite.width));
        const opacity = sprite.pixels[at + 3]! / 255;
        r += opacity * sprite.pixels[at]!;
        g += opacity * sprite.pixels[at + 1]!;
        b += opacity * sprite.pixels[at + 2]!;
        alpha += opacity;
      }
      const at = 3 * (y * side + x);
      const samples = SAMPLES * SAMPLES;
      [r, g, b].forEach((ink, channel) => {
        picture[at + channel] = Math.round((ink + (samples - alpha) * picture[at + channel]!) / samples);
      });
    }
  }
}
