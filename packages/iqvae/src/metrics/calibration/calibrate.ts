import {
  drawingsOf,
  faceGeometryOf,
  HERO_OUTFITS,
  HERO_PARTS,
  heroLooks,
  type ImageSize,
  renderFaceCondition,
} from "../../data/index.ts";
import type { ImageSet } from "../image-set.ts";
import { colorReadings } from "./colors.ts";
import { FEWEST_PIXELS, interior, nearestPicture } from "./regions.ts";
import { type Calibration, type Reading, spreadOf } from "./spread.ts";

/** Reads in images of one condition, named by its pair's id, what the condition leaves open. */
type Reader = (id: string, images: readonly Uint8Array[], size: ImageSize) => Promise<Reading[]>;

/** What a data set leaves open, in a word, and how it is read. */
interface Open {
  readonly what: string;
  readonly read: Reader;
}

const vendors: Open = {
  what: "vendors",
  async read(id, images, size) {
    const drawings = await drawingsOf(id, size);
    const shown = images.map((image) => nearestPicture(image, drawings, undefined));
    return [{ trait: "vendor", modes: drawings.length, shown }];
  },
};

/** The data sets of which the true distribution for a condition is known. */
const OPEN: Readonly<Record<string, Open>> = {
  faces: {
    what: "colors",
    read: async (id, images, size) =>
      colorReadings(await renderFaceCondition(faceGeometryOf(id), "semantic", size), images, size),
  },
  heroes: {
    what: "outfits",
    async read(id, images, size) {
      const { body, map, looks } = await heroLooks(id, size);
      return HERO_PARTS.flatMap((part, i) => {
        const pixels = interior(map, 1 + i, size);
        if (pixels.length < FEWEST_PIXELS) return [];
        const modes = HERO_OUTFITS[body][part].length;
        const shown = images.map((image) => nearestPicture(image, looks.slice(0, modes), pixels));
        // Their heads differ in number, and garments are cut for either.
        return [{ trait: `${part} (${body})`, modes, shown }];
      });
    },
  },
  words: vendors,
  speech: vendors,
};

/** What the conditions of a data set leave open: `colors`, `outfits`, `vendors`; `undefined` where the truth is not known. */
export function leftOpen(name: string): string | undefined {
  return OPEN[name]?.what;
}

/**
 * How what is drawn for conditions is spread over what they leave open.
 *
 * @param name of the data set, for which {@link leftOpen} knows a word
 * @param ids of the conditions' pairs
 * @param images equally many of each condition, one condition after the other
 * @throws RangeError for another data set, and when nothing can be read
 */
export async function calibration(name: string, ids: readonly string[], images: ImageSet): Promise<Calibration> {
  const open = OPEN[name];
  if (open === undefined) throw new RangeError(`calibration knows no true distribution of the data set ${name}.`);
  const { size, pixels, count } = images;
  const length = size * size * 3;
  const samples = count / ids.length;
  const readings: Reading[] = [];
  for (const [c, id] of ids.entries()) {
    const drawn = Array.from({ length: samples }, (_, s) => c * samples + s);
    const some = drawn.map((i) => pixels.subarray(i * length, (i + 1) * length));
    readings.push(...(await open.read(id, some, size as ImageSize)));
  }
  return spreadOf(readings);
}
