import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { hslColor } from "../../../conditions/index.ts";
import { type Raster, readRaster, scaleRaster } from "../../../media/raster.ts";
import type { Random } from "../../../support/random.ts";
import type { SemanticClass } from "../../dataset.ts";
import type { PackageSource } from "../../packages.ts";
import type { Sprite } from "../scenes/sprites.ts";
import { GROUND_FILES, MATE_BACKGROUNDS, STAMP_FOLDERS, STAMP_ROOT, TUX_PAINT } from "./packages.ts";

/** Twelve hues, those of neighbors far apart. */
export const STAMP_CLASSES: readonly SemanticClass[] = Object.keys(STAMP_FOLDERS).map((name, i) => ({
  name,
  color: hslColor(150 * i, 0.8, i % 2 === 0 ? 0.35 : 0.55),
}));

/** Drawings have fewer colors, of 6 bits a channel. */
const FEWEST_COLORS = 230;
/** Longer side to which large cut-outs are scaled down, in pixels. */
const LARGEST = 160;
const OPAQUE = 128;

/** The cut-outs of each class, by name within it. */
export async function cutOuts(source: PackageSource): Promise<readonly (readonly Sprite[])[]> {
  const root = join(await source(TUX_PAINT), STAMP_ROOT);
  const classes: Sprite[][] = [];
  for (const folders of Object.values(STAMP_FOLDERS)) {
    const files: string[] = [];
    for (const folder of folders) {
      const names = (await readdir(join(root, folder))).filter((name) => name.endsWith(".png"));
      files.push(...names.map((name) => join(root, folder, name)));
    }
    files.sort((a, b) => (basename(a) < basename(b) ? -1 : 1));
    const sprites = await Promise.all(files.map(readCutOut));
    const photographed = sprites.filter((sprite) => sprite !== undefined);
    if (photographed.length === 0)
      throw new Error(`There is no stamp of a photograph in ${folders.join(", ")} of ${root}.`);
    classes.push(photographed);
  }
  return classes;
}

/** A stamp without its margins, not too large; `undefined` for a drawing. */
async function readCutOut(path: string): Promise<Sprite | undefined> {
  const stamp = await readRaster(path, 4);
  const { pixels: data, width, height } = stamp;
  const colors = new Set<number>();
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let at = 0; at < width * height; at++) {
    const [r, g, b, alpha] = [data[4 * at]!, data[4 * at + 1]!, data[4 * at + 2]!, data[4 * at + 3]!];
    if (alpha < OPAQUE) continue;
    colors.add(((r >> 2) << 12) | ((g >> 2) << 6) | (b >> 2));
    const [x, y] = [at % width, Math.floor(at / width)];
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
  }
  // The hedgehog is drawn, in more colors than others.
  if (colors.size < FEWEST_COLORS || basename(path) === "hedgehog.png") return undefined;
  const part = { left, top, width: right - left + 1, height: bottom - top + 1 };
  const { channels: _, ...sprite } = await scaleRaster(stamp, { part, width: LARGEST, height: LARGEST, inside: true });
  return sprite;
}

/** The same cut-out seen in a mirror. */
export function mirrored({ pixels, width, height }: Sprite): Sprite {
  const turned = new Uint8Array(pixels.length);
  for (let at = 0; at < width * height; at++) {
    const from = at - (at % width) + (width - 1 - (at % width));
    turned.set(pixels.subarray(4 * from, 4 * from + 4), 4 * at);
  }
  return { pixels: turned, width, height };
}

/** A photograph to put stamps on, in RGB. */
export type Ground = Raster;

/** Height to which grounds are scaled down, in pixels. */
const GROUND_HEIGHT = 512;
/** The smallest square, as a share of the height. */
const SMALLEST_SQUARE = 0.5;

export async function grounds(source: PackageSource): Promise<readonly Ground[]> {
  const folder = await source(MATE_BACKGROUNDS);
  return await Promise.all(
    GROUND_FILES.map(async (file) => {
      const photograph = await readRaster(join(folder, file), 3);
      const width = Math.round((photograph.width * GROUND_HEIGHT) / photograph.height);
      return await scaleRaster(photograph, { width, height: GROUND_HEIGHT });
    }),
  );
}

/** A random square of a ground: RGB bytes `[size, size, 3]`. */
export async function groundSquare(ground: Ground, size: number, random: Random): Promise<Uint8Array> {
  const { width, height } = ground;
  const most = Math.min(width, height);
  const side = Math.round(most * (SMALLEST_SQUARE + (1 - SMALLEST_SQUARE) * random()));
  const left = Math.floor(random() * (width - side + 1));
  const top = Math.floor(random() * (height - side + 1));
  const part = { left, top, width: side, height: side };
  return (await scaleRaster(ground, { part, width: size, height: size })).pixels;
}
