import { createHash } from "node:crypto";
import { EARTH_CLASSES, type Planet, WATER } from "./planet.ts";

/** A square of the Earth, by its top left pixel. */
export interface EarthWindow {
  readonly left: number;
  readonly top: number;
  /** The block that it lies in, `COLUMN,ROW`. */
  readonly block: string;
}

/** How windows are cut out of a planet. */
export interface Cutting {
  /** Side of a window in pixels. */
  readonly size: number;
  /** From one window to the next, in pixels. */
  readonly step: number;
  /** Side of the blocks that are held out as a whole, in pixels. */
  readonly block: number;
}

/** Degrees of latitude between which windows lie: in the far north, and in Antarctica, map and picture are of other snow. */
const [NORTH, SOUTH] = [78, -58];
const LEAST_LAND = 0.25;
const MOST_OF_A_CLASS = 0.95;

/** All windows with enough land and more than one kind of cover, block by block; each lies wholly in one block. */
export function windowsOf(planet: Planet, { size, step, block }: Cutting): readonly EarthWindow[] {
  const { width, height } = planet;
  const rowOf = (latitude: number) => ((90 - latitude) / 180) * height;
  const windows: EarthWindow[] = [];
  for (let y = 0; y + block <= height; y += block) {
    for (let x = 0; x + block <= width; x += block) {
      for (let top = y; top + size <= y + block; top += step) {
        if (top < rowOf(NORTH) || top + size > rowOf(SOUTH)) continue;
        for (let left = x; left + size <= x + block; left += step) {
          if (isVaried(planet, left, top, size)) windows.push({ left, top, block: blockAt(left, top, block) });
        }
      }
    }
  }
  return windows;
}

function isVaried({ cover, width }: Planet, left: number, top: number, size: number): boolean {
  const counts = new Uint32Array(EARTH_CLASSES.length);
  for (let y = top; y < top + size; y++) {
    for (let at = y * width + left; at < y * width + left + size; at++) counts[cover[at]!]!++;
  }
  const pixels = size * size;
  return 1 - counts[WATER]! / pixels >= LEAST_LAND && Math.max(...counts) <= MOST_OF_A_CLASS * pixels;
}

export function blockAt(left: number, top: number, block: number): string {
  return `${Math.floor(left / block)},${Math.floor(top / block)}`;
}

/** One block in ten, with all of its windows. */
export function isBlockHeldOut(block: string): boolean {
  return createHash("sha256").update(`earth ${block}`).digest().readUInt32LE(0) % 10 === 0;
}
