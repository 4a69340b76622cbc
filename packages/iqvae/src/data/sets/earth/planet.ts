import { join } from "node:path";
import { type Raster, readRaster } from "../../../media/raster.ts";
import type { Rgb, SemanticClass } from "../../dataset.ts";
import type { PackageSource } from "../../packages.ts";
import { BLUE_MARBLE, BLUE_MARBLE_MONTHS, LAND_COVER, MONTHS } from "./packages.ts";

const CLASSES: readonly (readonly [name: string, color: Rgb])[] = [
  ["water", [28, 60, 116]],
  ["evergreen needleleaf forest", [5, 69, 10]],
  ["evergreen broadleaf forest", [8, 106, 16]],
  ["deciduous needleleaf forest", [84, 167, 8]],
  ["deciduous broadleaf forest", [120, 210, 3]],
  ["mixed forest", [0, 153, 0]],
  ["closed shrubland", [198, 176, 68]],
  ["open shrubland", [220, 209, 89]],
  ["woody savanna", [218, 222, 72]],
  ["savanna", [251, 255, 19]],
  ["grassland", [182, 255, 5]],
  ["wetland", [39, 255, 135]],
  ["cropland", [194, 79, 68]],
  ["urban", [165, 165, 165]],
  ["cropland and natural vegetation", [255, 109, 76]],
  ["snow and ice", [235, 245, 255]],
  ["barren", [249, 255, 164]],
];

/** The land cover types of the International Geosphere-Biosphere Programme, by their numbers. */
export const EARTH_CLASSES: readonly SemanticClass[] = CLASSES.map(([name, color]) => ({ name, color }));
export const WATER = 0;

/** The pictures are dark (their means are 55, 65 and 80), so that differences hardly show: levels `v` become `v^(1/γ)`. */
const GAMMA = 1.6;

/** The Earth from above, a plate carrée: 360 degrees wide, the north pole at the top. */
export interface Planet {
  readonly width: number;
  readonly height: number;
  /** Class numbers `[height, width]`. */
  readonly cover: Uint8Array;
  /** RGB bytes `[height, width, 3]`, each true of {@link cover}. */
  readonly pictures: readonly Uint8Array[];
}

/** @returns the Earth in one picture, 5,400 pixels wide */
export async function earth(source: PackageSource): Promise<Planet> {
  const [cover, marble] = [await source(LAND_COVER), await source(BLUE_MARBLE)];
  return await planetOf(join(cover, LAND_COVER.files![0]!), [join(marble, BLUE_MARBLE.files![0]!)]);
}

/** @returns the Earth in a picture for each of {@link MONTHS}, 2,048 pixels wide */
export async function earthByMonth(source: PackageSource): Promise<Planet> {
  const [cover, months] = [await source(LAND_COVER), await source(BLUE_MARBLE_MONTHS)];
  const paths = MONTHS.map((_, i) => join(months, BLUE_MARBLE_MONTHS.files![i]!));
  return await planetOf(join(cover, LAND_COVER.files![0]!), paths);
}

async function planetOf(coverPath: string, picturePaths: readonly string[]): Promise<Planet> {
  const pictures = await Promise.all(picturePaths.map((path) => readRaster(path, 3)));
  const { width, height } = pictures[0]!;
  return { width, height, cover: await readCover(coverPath, width, height), pictures: pictures.map(brighten) };
}

/** Class numbers at the size of a picture, each that of the nearest place. */
async function readCover(path: string, width: number, height: number): Promise<Uint8Array> {
  const { pixels, ...full } = await readRaster(path, 1);
  const cover = new Uint8Array(width * height);
  const columns = Array.from({ length: width }, (_, x) => Math.floor(((x + 0.5) * full.width) / width));
  for (let y = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * full.height) / height) * full.width;
    for (let x = 0; x < width; x++) cover[y * width + x] = pixels[row + columns[x]!]!;
  }
  return cover;
}

function brighten({ pixels }: Raster): Uint8Array {
  const levels = Uint8Array.from({ length: 256 }, (_, level) => Math.round(255 * (level / 255) ** (1 / GAMMA)));
  return pixels.map((level) => levels[level]!);
}

/** @returns bytes `[size, size, channels]` of a raster, from its pixel (`left`, `top`) on */
export function windowOf(
  raster: Uint8Array,
  { width }: Pick<Planet, "width">,
  channels: number,
  { left, top }: { readonly left: number; readonly top: number },
  size: number,
): Uint8Array {
  const cut = new Uint8Array(size * size * channels);
  for (let y = 0; y < size; y++) {
    const from = ((top + y) * width + left) * channels;
    cut.set(raster.subarray(from, from + size * channels), y * size * channels);
  }
  return cut;
}
