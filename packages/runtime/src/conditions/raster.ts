import type { Rgb } from "./spec.ts";

/** Colors `[n, n, 3]` scaled to `[side, side, 3]` by the nearest pixel. */
export function scaleNearest(pixels: Uint8Array, height: number, width: number, side: number): Uint8Array {
  if (height === side && width === side) return pixels;
  const out = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const from = 3 * (Math.floor((y * height) / side) * width + Math.floor((x * width) / side));
      out.set(pixels.subarray(from, from + 3), 3 * (y * side + x));
    }
  }
  return out;
}

/** Each value's color: `[…]` → RGB bytes `[…, 3]`. */
export function paint(values: Uint8Array, colors: readonly Rgb[]): Uint8Array {
  const pixels = new Uint8Array(values.length * 3);
  values.forEach((value, i) => {
    pixels.set(colors[value]!, 3 * i);
  });
  return pixels;
}

/** A color by its hue in degrees, its saturation and its lightness, both in [0, 1] (CSS Color 4, § 7.1). */
export function hslColor(hue: number, saturation: number, lightness: number): Rgb {
  const chroma = saturation * Math.min(lightness, 1 - lightness);
  const channel = (shift: number) => {
    const k = (shift + hue / 30) % 12;
    return Math.round(255 * (lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}

/** Degrees between the hues of neighbors in a list of any length: the golden angle sets all of them apart. */
export const GOLDEN_ANGLE = 137.508;
