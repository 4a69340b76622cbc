import { FACE_CLASSES, FACE_PALETTES } from "../data/index.ts";

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

/** A region of fewer pixels is not read: its colors are mixed with its neighbours'. */
const FEWEST_PIXELS = 8;

/** How the colors of one region are spread. */
export interface RegionCalibration {
  /**
   * Mean over conditions of the total variation distance between the colors of its samples and the palette, in [0, 1]. Few
   * samples cannot spread evenly over a palette: compare with what true images score at the same number.
   */
  readonly totalVariation: number;
  /** The same of the colors of all conditions together. */
  readonly pooledTotalVariation: number;
  /** Mean over conditions of the share of the palette that comes up among its samples. */
  readonly coverage: number;
  /** What {@link coverage} would be of true draws on average: `1 − (1 − 1/K)ⁿ`. */
  readonly expectedCoverage: number;
  /** Images that the region was read in. */
  readonly readings: number;
}

/** By region: skin, hair, jersey, background; `mean` over those that were read. */
export interface Calibration {
  readonly regions: Readonly<Record<string, RegionCalibration>>;
  readonly mean: Omit<RegionCalibration, "readings">;
}

/** What was drawn for one condition. */
export interface DrawnFaces {
  /** Semantic map of the condition, `[size, size]`. */
  readonly map: Uint8Array;
  /** RGB bytes `[size, size, 3]` each. */
  readonly images: readonly Uint8Array[];
}

/**
 * How close the colors that are drawn for a condition come to their true distribution, which is known of `faces`: each is
 * uniform over its palette, whatever the condition (`FACE_PALETTES`). [O]
 *
 * In each image, the pixels of a region vote for the nearest color of the palette; pixels at the region's border are left out
 * where enough remain.
 *
 * @throws RangeError when there is nothing to read
 */
export function calibration(faces: readonly DrawnFaces[], size: number): Calibration {
  const read = REGIONS.map((one) => [one.name, regionCalibration(one, faces, size)] as const);
  const there = read.flatMap(([name, found]) => (found === undefined ? [] : [[name, found] as const]));
  if (there.length === 0) throw new RangeError("calibration got no image in which a region could be read.");
  const mean = (key: keyof RegionCalibration) => there.reduce((sum, [, found]) => sum + found[key], 0) / there.length;
  return {
    regions: Object.fromEntries(there),
    mean: {
      totalVariation: mean("totalVariation"),
      pooledTotalVariation: mean("pooledTotalVariation"),
      coverage: mean("coverage"),
      expectedCoverage: mean("expectedCoverage"),
    },
  };
}

function regionCalibration(one: Region, faces: readonly DrawnFaces[], size: number): RegionCalibration | undefined {
  const K = one.palette.length;
  const pooled = new Float64Array(K);
  const each = faces.flatMap(({ map, images }) => {
    const pixels = interior(map, one.class, size);
    if (pixels.length < FEWEST_PIXELS || images.length === 0) return [];
    const counts = new Float64Array(K);
    for (const image of images) counts[votedColor(image, pixels, one.palette)]!++;
    counts.forEach((count, k) => {
      pooled[k]! += count;
    });
    return [{ counts, n: images.length }];
  });
  if (each.length === 0) return undefined;
  const mean = (value: (one: { counts: Float64Array; n: number }) => number) =>
    each.reduce((sum, entry) => sum + value(entry), 0) / each.length;
  return {
    totalVariation: mean(({ counts }) => fromUniform(counts)),
    pooledTotalVariation: fromUniform(pooled),
    coverage: mean(({ counts }) => counts.filter((count) => count > 0).length / K),
    expectedCoverage: mean(({ n }) => 1 - (1 - 1 / K) ** n),
    readings: each.reduce((sum, { n }) => sum + n, 0),
  };
}

/** Total variation distance of counts and the uniform distribution. */
function fromUniform(counts: Float64Array): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce((sum, count) => sum + Math.abs(count / total - 1 / counts.length), 0) / 2;
}

/** Pixels of a class whose four neighbours are of it too; all of its pixels where those would be too few. */
function interior(map: Uint8Array, wanted: number, size: number): number[] {
  const all: number[] = [];
  map.forEach((value, i) => {
    if (value === wanted) all.push(i);
  });
  const inner = all.filter((i) => {
    const [x, y] = [i % size, Math.floor(i / size)];
    const neighbors = [x > 0 ? i - 1 : i, x < size - 1 ? i + 1 : i, y > 0 ? i - size : i, y < size - 1 ? i + size : i];
    return neighbors.every((neighbor) => map[neighbor] === wanted);
  });
  return inner.length >= FEWEST_PIXELS ? inner : all;
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
