import { FACE_CLASSES, FACE_PALETTES } from "../../data/index.ts";
import { FEWEST_PIXELS, interior } from "./regions.ts";
import type { Reading } from "./spread.ts";

type Color = readonly [number, number, number];

/** A region of a face that is painted in one color of a palette. */
interface Region {
  readonly name: string;
  readonly class: number;
  readonly palette: readonly Color[];
}

const region = (
  name: string,
  className: (typeof FACE_CLASSES)[number]["name"],
  palette: readonly string[],
): Region => ({
  name,
  class: FACE_CLASSES.findIndex((one) => one.name === className),
  palette: palette.map(colorOf),
});

/**
 * What is read. A jersey may show three team colors; the one that most of it has is one of three independent draws from one
 * palette, so it follows that palette too.
 */
const REGIONS: readonly Region[] = [
  region("skin", "head", FACE_PALETTES.skin),
  region("hair", "hair", FACE_PALETTES.hair),
  region("jersey", "jersey", FACE_PALETTES.team),
  region("background", "background", FACE_PALETTES.background),
];

/**
 * Which colors of its palette each region has in images of one face, whose distribution is known: uniform over the palette,
 * whatever the condition (`FACE_PALETTES`). [O]
 *
 * In each image, the pixels of a region vote for the nearest color; pixels at the region's border are left out where enough remain.
 *
 * @param map semantic map of the condition, `[size, size]`
 * @param images RGB bytes `[size, size, 3]` each
 */
export function colorReadings(map: Uint8Array, images: readonly Uint8Array[], size: number): Reading[] {
  return REGIONS.flatMap(({ name, class: wanted, palette }) => {
    const pixels = interior(map, wanted, size);
    if (pixels.length < FEWEST_PIXELS) return [];
    const shown = images.map((image) => votedColor(image, pixels, palette));
    return [{ trait: name, modes: palette.length, shown }];
  });
}

/** The color of the palette that is nearest to most of the pixels. */
function votedColor(image: Uint8Array, pixels: readonly number[], palette: readonly Color[]): number {
  const votes = new Float64Array(palette.length);
  for (const pixel of pixels) votes[nearestColor(image, 3 * pixel, palette)]!++;
  return votes.indexOf(Math.max(...votes));
}

function nearestColor(image: Uint8Array, at: number, palette: readonly Color[]): number {
  let best = 0;
  let least = Infinity;
  palette.forEach(([r, g, b], k) => {
    const apart = (image[at]! - r) ** 2 + (image[at + 1]! - g) ** 2 + (image[at + 2]! - b) ** 2;
    if (apart < least) [best, least] = [k, apart];
  });
  return best;
}

function colorOf(hex: string): Color {
  const value = Number.parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
