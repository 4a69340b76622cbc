import { choose, type Random } from "../../support/random.ts";

/** What a blank canvas is filled with, and what shows in gaps between strokes. */
const GROUND = 0;
/** What no brush fits into is dotted with this, in shares of the map's side. */
const FINEST = 1 / 32;
/** Radii of the brushes that a class is painted with. */
const BRUSHES = [FINEST, 1.5 / 32, 2 / 32, 3 / 32];
/** The share of its pixels that get a dot then. */
const DOTTED = 0.4;
/** A brush fits where this share of its radius lies within the class: hands paint over edges. */
const WITHIN = 0.7;
/** How far a class is painted beside its place at most, down and across, in shares of the side. */
const MISSED = 0.5 / 32;

/**
 * A map of classes as a hand would paint it: class by class, the largest first, each with a round brush of a size of its own.
 *
 * @param map classes, bytes `[size, size]`; class 0 is the canvas
 * @returns a map of the same classes, some of which may be lost
 */
export function paintedMap(map: Uint8Array, size: number, random: Random): Uint8Array {
  const out = new Uint8Array(map.length).fill(GROUND);
  const missed = () => Math.round(size * MISSED * (2 * random() - 1));
  for (const value of classesByArea(map)) {
    if (value === GROUND) continue;
    const [right, down] = [missed(), missed()];
    for (const [pixel, isPainted] of strokes(map, value, size, random).entries()) {
      const [x, y] = [(pixel % size) + right, Math.floor(pixel / size) + down];
      if (isPainted && x >= 0 && x < size && y >= 0 && y < size) out[y * size + x] = value;
    }
  }
  return out;
}

/** The classes that occur, the largest first. */
function classesByArea(map: Uint8Array): number[] {
  const areas = new Map<number, number>();
  for (const value of map) areas.set(value, (areas.get(value) ?? 0) + 1);
  return [...areas].sort(([, one], [, other]) => other - one).map(([value]) => value);
}

/** What a brush covers of a class: 1 or 0 for each pixel. */
function strokes(map: Uint8Array, value: number, size: number, random: Random): Uint8Array {
  const radius = size * choose(BRUSHES, random);
  const others = map.map((found) => Number(found !== value));
  const centers = grown(others, size, WITHIN * radius).map((isNear) => 1 - isNear);
  if (centers.includes(1)) return grown(centers, size, radius);
  const dots = others.map((isOther) => Number(!isOther && random() < DOTTED));
  return grown(dots, size, size * FINEST);
}

/** All that lies within a radius of what is marked. The sides of the canvas stop nobody. */
function grown(marked: Uint8Array, size: number, radius: number): Uint8Array {
  const out = marked.slice();
  const reach = Math.floor(radius);
  for (const [pixel, isMarked] of marked.entries()) {
    const [x, y] = [pixel % size, Math.floor(pixel / size)];
    if (!isMarked || !isEdge(marked, size, x, y)) continue;
    for (let v = Math.max(0, y - reach); v <= Math.min(size - 1, y + reach); v++)
      for (let u = Math.max(0, x - reach); u <= Math.min(size - 1, x + reach); u++)
        if ((u - x) ** 2 + (v - y) ** 2 <= radius * radius) out[v * size + u] = 1;
  }
  return out;
}

/** Whether a neighbor is not marked: all else has nothing near that these have not. */
function isEdge(marked: Uint8Array, size: number, x: number, y: number): boolean {
  const at = y * size + x;
  return (
    (x > 0 && !marked[at - 1]) ||
    (x < size - 1 && !marked[at + 1]) ||
    (y > 0 && !marked[at - size]) ||
    (y < size - 1 && !marked[at + size])
  );
}
