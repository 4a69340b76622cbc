import type { SemanticClass } from "../../../conditions/spec.ts";
import { halve } from "../../../media/svg.ts";
import type { ImageSize, Rgb } from "../../dataset.ts";
import { HERO_PARTS, type HeroPart, type Layer } from "./wardrobe.ts";

/** Side of the pictures as they were drawn, in pixels. */
export const SIDE = 64;
/** Where a hero stands, in pixels. */
const [GROUND_X, GROUND_Y] = [32, 54];
/** What is less opaque is shadow. */
const OPAQUE = 160;

/** What heroes stand on. */
export const HERO_GROUND: Rgb = [168, 166, 152];

/** The classes of part maps: the ground, then the parts. */
export const HERO_CLASSES: readonly SemanticClass[] = [
  { name: "background", color: [255, 255, 255] },
  { name: "feet", color: [141, 85, 36] },
  { name: "legs", color: [52, 101, 164] },
  { name: "hands", color: [245, 166, 35] },
  { name: "chest", color: [204, 41, 54] },
  { name: "head", color: [76, 154, 42] },
];

/** What a part of a hero wears. */
export interface PartLayer {
  readonly part: HeroPart;
  readonly layer: Layer;
}

/** Calls `visit` for each pixel of a layer that falls into the picture, with its place there and its place in the layer. */
function visitPixels(layer: Layer, pose: string, visit: (at: number, source: number) => void): void {
  const frame = layer.frames.get(pose);
  if (frame === undefined) throw new Error(`heroes: a layer has no drawing of the pose ${pose}.`);
  const [left, top] = [GROUND_X - frame.originX, GROUND_Y - frame.originY];
  for (let y = Math.max(0, -top); y < Math.min(frame.height, SIDE - top); y++) {
    for (let x = Math.max(0, -left); x < Math.min(frame.width, SIDE - left); x++) {
      visit((top + y) * SIDE + left + x, 4 * ((frame.y + y) * layer.width + frame.x + x));
    }
  }
}

/**
 * Draws layers over each other and over the ground.
 *
 * @param layers the lowest first
 * @returns RGB bytes `[64, 64, 3]`
 */
export function drawHero(layers: readonly PartLayer[], pose: string): Uint8Array {
  const picture = new Uint8Array(SIDE * SIDE * 3);
  for (let at = 0; at < picture.length; at += 3) picture.set(HERO_GROUND, at);
  for (const { layer } of layers) {
    visitPixels(layer, pose, (at, source) => {
      const opacity = layer.pixels[source + 3]! / 255;
      for (let channel = 0; channel < 3; channel++) {
        const below = picture[3 * at + channel]!;
        picture[3 * at + channel] = Math.round(below + opacity * (layer.pixels[source + channel]! - below));
      }
    });
  }
  return picture;
}

/**
 * Which part is seen where.
 *
 * @param layers the lowest first
 * @returns `[64, 64]` numbers into {@link HERO_CLASSES}
 */
export function drawParts(layers: readonly PartLayer[], pose: string): Uint8Array {
  const map = new Uint8Array(SIDE * SIDE);
  for (const { part, layer } of layers) {
    const label = 1 + HERO_PARTS.indexOf(part);
    visitPixels(layer, pose, (at, source) => {
      if (layer.pixels[source + 3]! >= OPAQUE) map[at] = label;
    });
  }
  return map;
}

/** A picture in another size: averaged, or with pixels repeated, as pixel art is enlarged. */
export function imageOfSize(picture: Uint8Array, size: ImageSize): Uint8Array {
  return size < SIDE ? halve(picture, size) : enlarge(picture, 3, size / SIDE);
}

/** A map in another size: the class that covers most of a pixel, the part drawn later in doubt; or pixels repeated. */
export function mapOfSize(map: Uint8Array, size: ImageSize): Uint8Array {
  if (size >= SIDE) return enlarge(map, 1, size / SIDE);
  const factor = SIDE / size;
  const covers = new Uint8Array(HERO_CLASSES.length);
  return Uint8Array.from({ length: size * size }, (_, at) => {
    covers.fill(0);
    const corner = Math.floor(at / size) * factor * SIDE + (at % size) * factor;
    for (let dy = 0; dy < factor; dy++) {
      for (let dx = 0; dx < factor; dx++) covers[map[corner + dy * SIDE + dx]!]!++;
    }
    return covers.lastIndexOf(Math.max(...covers));
  });
}

function enlarge(pixels: Uint8Array, channels: number, factor: number): Uint8Array {
  const size = SIDE * factor;
  const out = new Uint8Array(size * size * channels);
  for (let y = 0, at = 0; y < size; y++) {
    for (let x = 0; x < size; x++, at += channels) {
      const source = channels * (Math.floor(y / factor) * SIDE + Math.floor(x / factor));
      out.set(pixels.subarray(source, source + channels), at);
    }
  }
  return out;
}
