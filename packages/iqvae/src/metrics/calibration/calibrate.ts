import type { ImageSize, OpenTrait, OpenTraits } from "../../data/index.ts";
import type { ImageSet } from "../image-set.ts";
import { FEWEST_PIXELS, interior, nearestPicture, votedColor } from "./regions.ts";
import { type Calibration, type Reading, spreadOf } from "./spread.ts";

/**
 * How what is drawn for conditions is spread over what they leave open, where that is known. [O]
 *
 * @param open what the conditions of the data set leave open: `PairFacts.open`
 * @param ids of the conditions' pairs
 * @param images equally many of each condition, one condition after the other
 * @throws RangeError when nothing can be read
 */
export async function calibration(open: OpenTraits, ids: readonly string[], images: ImageSet): Promise<Calibration> {
  const { size, pixels, count } = images;
  const length = size * size * 3;
  const samples = count / ids.length;
  const readings: Reading[] = [];
  for (const [c, id] of ids.entries()) {
    const drawn = Array.from({ length: samples }, (_, s) => c * samples + s);
    const some = drawn.map((i) => pixels.subarray(i * length, (i + 1) * length));
    readings.push(...readTraits(await open.of(id, size as ImageSize), some, size));
  }
  return spreadOf(readings);
}

/**
 * Which mode of each trait images of one condition show: of colors the one that most pixels of the region are nearest to, of
 * pictures the nearest in the region. Pixels at the region's border are left out where enough remain; a region of a few pixels
 * is not read.
 *
 * @param images RGB bytes `[size, size, 3]` each
 */
export function readTraits(traits: readonly OpenTrait[], images: readonly Uint8Array[], size: number): Reading[] {
  return traits.flatMap(({ name, region, modes }) => {
    const pixels = region === undefined ? Array.from({ length: size * size }, (_, i) => i) : interior(region, size);
    if (pixels.length < FEWEST_PIXELS) return [];
    const looks = modes.kind === "colors" ? modes.colors : modes.pictures;
    const shown = images.map((image) =>
      modes.kind === "colors" ? votedColor(image, modes.colors, pixels) : nearestPicture(image, modes.pictures, pixels),
    );
    return [{ trait: name, modes: looks.length, shown }];
  });
}
