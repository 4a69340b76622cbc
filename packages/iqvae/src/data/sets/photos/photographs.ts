import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { type Raster, readRaster, readRasterSize, scaleRaster } from "../../../media/raster.ts";
import type { PackageSource } from "../../packages.ts";
import { GCOMPRIS, PHOTO_ARCHIVES } from "./packages.ts";
import { readResources } from "./qt-resources.ts";

/** A photograph in its file's bytes. */
export interface Photograph {
  /** `ACTIVITY/NAME`. */
  readonly id: string;
  readonly file: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Photographs that are in another archive too, larger. */
const DOUBLES = ["categorization/greatPyramid", "categorization/brandenburgGate", "categorization/colosseum"];

/** Names of one monument. */
const ALIASES: Readonly<Record<string, string>> = {
  greatpyramidofgiza: "greatpyramid",
  greatwallofchina: "greatwall",
  qutubminar: "kutubminar",
};

/** All photographs of the package, sorted by their ids. */
export async function photographs(source: PackageSource): Promise<readonly Photograph[]> {
  const folder = await source(GCOMPRIS);
  const found: Photograph[] = [];
  for (const archive of PHOTO_ARCHIVES) {
    const activity = basename(archive, ".rcc");
    // The fish of `clickgame` are drawings; what they swim in are photographs.
    const pattern = activity === "clickgame" ? /\/sea\d\.webp$/ : /\.webp$/;
    const files = await readResources(join(folder, archive), (path) => pattern.test(path));
    for (const [path, file] of files) {
      const name = basename(path, ".webp");
      const id = `${activity}/${name}`;
      const { width, height, hasAlpha } = await readRasterSize(file);
      if (hasAlpha || DOUBLES.includes(id)) continue;
      found.push({ id, file, width, height });
    }
  }
  return found.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** What a photograph shows, by its id. Photographs of one monument are held out together. */
export function subjectOf(id: string): string {
  const name = basename(id).toLowerCase();
  return ALIASES[name] ?? name;
}

/** One subject in ten. */
export function isSubjectHeldOut(subject: string): boolean {
  return createHash("sha256").update(subject).digest().readUInt32LE(0) % 10 === 0;
}

/** Decodes photographs, and keeps the last ones. */
export function decoder(kept = 3): (photograph: Photograph) => Promise<Raster> {
  const recent = new Map<string, Promise<Raster>>();
  return ({ id, file }) => {
    const known = recent.get(id) ?? readRaster(file, 3);
    recent.delete(id);
    recent.set(id, known);
    if (recent.size > kept) recent.delete(recent.keys().next().value!);
    return known;
  };
}

/** A square of a photograph, in its pixels. */
export interface Square {
  readonly left: number;
  readonly top: number;
  readonly side: number;
}

/** A square of a photograph, scaled down (Lanczos): RGB bytes `[size, size, 3]`. */
export async function cutSquare(decoded: Raster, { left, top, side }: Square, size: number): Promise<Uint8Array> {
  const part = { left, top, width: side, height: side };
  return (await scaleRaster(decoded, { part, width: size, height: size })).pixels;
}
