import { choose } from "../../../support/random.ts";
import type { ImageSize } from "../../dataset.ts";
import { installedVersion } from "../../licenses.ts";
import { once } from "../../once.ts";
import { type DataPackage, editionsOf, type PackageSource, packageLicense } from "../../packages.ts";
import { type Recipe, spread } from "../../recipe.ts";
import { SYMMETRIES, untransformed } from "../../symmetries.ts";
import { BLUE_MARBLE, BLUE_MARBLE_MONTHS, LAND_COVER, MONTHS } from "./packages.ts";
import { EARTH_CLASSES, earth, earthByMonth, type Planet, windowOf } from "./planet.ts";
import { blockAt, type Cutting, isBlockHeldOut, windowsOf } from "./windows.ts";

/** Raise it whenever the pixels, the choice or the order of the pairs change. */
const VERSION = 2;

/** Sizes that windows of the picture of the whole year have: a block of 12 degrees holds no larger ones. */
export const EARTH_SIZES = [32, 64, 128] as const satisfies readonly ImageSize[];
/** Of the smaller pictures by month. */
export const EARTH_MONTH_SIZES = [32, 64] as const satisfies readonly ImageSize[];

/** 12 degrees. */
const BLOCK = 180;
const STEPS = { 32: 16, 64: 16, 128: 13 } as const;
const MONTH_STEPS = { 32: 8, 64: 16 } as const;

/** What the packages of the Earth are conditioned on. */
export const EARTH_COVER = { kind: "semantic", classes: EARTH_CLASSES } as const;

export const EARTH_PACKAGES: readonly DataPackage[] = [LAND_COVER, BLUE_MARBLE];
export const EARTH_MONTH_PACKAGES: readonly DataPackage[] = [LAND_COVER, BLUE_MARBLE_MONTHS];

export interface EarthRequest<Size> {
  readonly size: Size;
  /** The most pairs, spread over all that there are. */
  readonly count: number;
}

/**
 * How the `earth` pairs are cut out: land cover, and a picture of the whole year. Nothing about them is random. There are few places on
 * Earth, and none has an up or a left: training has each in all eight positions.
 */
export function earthRecipe(
  { size, count }: EarthRequest<(typeof EARTH_SIZES)[number]>,
  source: PackageSource,
): Recipe {
  const cutting: Cutting = { size, step: STEPS[size], block: BLOCK };
  const recipe = recipeOf("earth", EARTH_PACKAGES, cutting, count, () => earth(source));
  return { ...recipe, symmetric: true, parts: { ...recipe.parts, positions: SYMMETRIES } };
}

/**
 * How the `earth-months` pairs are cut out: land cover, and pictures of five months. Whichever month it is, the condition is the
 * same, so that the months of a place are its true images, each equally likely.
 */
export function earthMonthsRecipe(
  { size, count }: EarthRequest<(typeof EARTH_MONTH_SIZES)[number]>,
  source: PackageSource,
): Recipe {
  const cutting: Cutting = { size, step: MONTH_STEPS[size], block: 2 * size };
  const planet = once(() => earthByMonth(source));
  const monthsOf = async (id: string) => {
    const place = placeOf(id);
    const known = await planet();
    return known.pictures.map((picture) => windowOf(picture, known, 3, place, size));
  };
  const recipe = recipeOf("earth-months", EARTH_MONTH_PACKAGES, cutting, count, planet);
  return {
    ...recipe,
    facts: {
      ...recipe.facts,
      concept: (id) => id.split("/")[0]!,
      async trueImages(id, many, _, random) {
        const months = await monthsOf(id);
        return new Uint8Array(Buffer.concat(Array.from({ length: many }, () => choose(months, random))));
      },
      open: {
        what: "months",
        of: async (id) => [{ name: "month", modes: { kind: "pictures", pictures: await monthsOf(id) } }],
      },
    },
  };
}

function recipeOf(
  name: string,
  packages: readonly DataPackage[],
  cutting: Cutting,
  count: number,
  planetOf: () => Promise<Planet>,
): Recipe {
  const { size, step, block } = cutting;
  return {
    name,
    condition: EARTH_COVER,
    facts: {
      group: (id) => {
        const { left, top } = placeOf(id);
        return blockAt(left, top, block);
      },
      picture: untransformed,
    },
    parts: { version: VERSION, ...editionsOf(packages), sharp: installedVersion("sharp"), size, step, block, count },
    licenses: packages.map(packageLicense),
    async prepare() {
      const planet = await planetOf();
      const windows = windowsOf(planet, cutting).flatMap((window) =>
        planet.pictures.map((picture, i) => ({
          ...window,
          picture,
          look: planet.pictures.length === 1 ? "" : `/${MONTHS[i]![0]}`,
        })),
      );
      const pairs = spread(windows, count);
      const entries = pairs.map((pair) => ({
        id: `${pair.left},${pair.top}${pair.look}`,
        validation: isBlockHeldOut(pair.block),
      }));
      const draw = async (index: number) => {
        const pair = pairs[index]!;
        return {
          image: windowOf(pair.picture, planet, 3, pair, size),
          condition: windowOf(planet.cover, planet, 1, pair, size),
        };
      };
      return { entries, draw };
    },
  };
}

/** The place in an id such as `1240,656/march`. @throws RangeError for an id that is none */
function placeOf(id: string): { left: number; top: number } {
  const [, left, top] = /^(\d+),(\d+)(\/\w+)?$/.exec(untransformed(id)) ?? [];
  if (left !== undefined && top !== undefined) return { left: Number(left), top: Number(top) };
  throw new RangeError(`expected an id of a place on Earth, such as "1240,656", got ${JSON.stringify(id)}.`);
}
