import type { ConditionSpec } from "../../../conditions/spec.ts";
import { plain } from "../../../media/svg.ts";
import { choose, type Random, seededRandom } from "../../../support/random.ts";
import { cacheFolder } from "../../cache-folder.ts";
import type { ImageSize } from "../../dataset.ts";
import type { OpenTrait } from "../../facts.ts";
import type { Recipe } from "../../recipe.ts";
import { drawHero, drawParts, HERO_CLASSES, imageOfSize, mapOfSize, type PartLayer } from "./draw.ts";
import { type FlareGame, flareGame, heroLicense } from "./flare-game.ts";
import { HERO_POINTS, keyPointsOfHero } from "./key-points.ts";
import { heldOutPoses } from "./split.ts";
import {
  HERO_BODIES,
  HERO_OUTFITS,
  HERO_PARTS,
  type HeroBody,
  type HeroPart,
  type Outfit,
  Wardrobe,
} from "./wardrobe.ts";

/** Raise it whenever the pixels, the conditions or the split change. */
const VERSION = 1;

export type HeroCondition = "keypoints" | "semantic";

export interface HeroesRequest {
  readonly condition: HeroCondition;
  readonly size: ImageSize;
  readonly count: number;
  readonly seed: number;
}

/** A body in a pose, `animation/frame/direction`. */
interface Hero {
  readonly body: HeroBody;
  readonly pose: string;
}

/** What the conditions of heroes hold. */
export function heroSpec(condition: HeroCondition): ConditionSpec {
  return condition === "keypoints" ? HERO_POINTS : { kind: condition, classes: HERO_CLASSES };
}

/** How the `heroes` pairs are drawn. Hero number `i` depends on the seed and on `i` alone. */
export async function heroesRecipe({ condition, size, count, seed }: HeroesRequest, game: FlareGame): Promise<Recipe> {
  const wardrobe = new Wardrobe(game.folder);
  const poses = await wardrobe.poses();
  return {
    name: "heroes",
    condition: heroSpec(condition),
    facts: {
      group: (id) => heroOf(...numbersOf("heroes", id), poses).pose,
      trueImages: dressHero,
      open: { what: "outfits", of: openGarments },
    },
    parts: { version: VERSION, drawings: wardrobe.fingerprint(), condition, size, count, seed },
    licenses: [heroLicense(game)],
    async prepare() {
      const maps = new Map<string, readonly Uint8Array[]>();
      for (const pose of poses) {
        maps.set(pose, await Promise.all(HERO_BODIES.map((body) => partsOf(wardrobe, { body, pose }))));
      }
      const heldOut = heldOutPoses(maps);
      const conditionOf = (map: Uint8Array) =>
        condition === "keypoints" ? keyPointsOfHero(map) : mapOfSize(map, size);
      const conditions = new Map([...maps].map(([pose, bodies]) => [pose, bodies.map(conditionOf)]));
      const heroes = Array.from({ length: count }, (_, index) => heroOf(seed, index, poses));
      const entries = heroes.map(({ pose }, index) => ({
        id: `hero-${seed}-${index}`,
        validation: heldOut.has(pose),
      }));
      const draw = async (index: number) => {
        const hero = heroes[index]!;
        const outfit = drawOutfit(hero.body, seededRandom("hero outfit", seed, index));
        return {
          image: await dressed(wardrobe, hero, outfit, size),
          condition: conditions.get(hero.pose)![HERO_BODIES.indexOf(hero.body)]!,
        };
      };
      return { entries, draw };
    },
  };
}

function heroOf(seed: number, index: number, poses: readonly string[]): Hero {
  const random = seededRandom("hero pose", seed, index);
  return { body: choose(HERO_BODIES, random), pose: choose(poses, random) };
}

/** An outfit from {@link HERO_OUTFITS}. */
export function drawOutfit(body: HeroBody, random: Random): Outfit {
  const choices = HERO_OUTFITS[body];
  return Object.fromEntries(HERO_PARTS.map((part) => [part, choose(choices[part], random)])) as Record<
    HeroPart,
    string
  >;
}

/** Layers of a hero from the lowest to the highest. */
export function layersOf(wardrobe: Wardrobe, { body, pose }: Hero, outfit: Outfit): Promise<readonly PartLayer[]> {
  const order = wardrobe.drawingOrder[Number(pose.split("/")[2])]!;
  return Promise.all(order.map(async (part) => ({ part, layer: await wardrobe.layer(body, outfit[part]) })));
}

/** The part map of a hero, from the default body whatever the outfit is: else the condition would tell the outfit. */
async function partsOf(wardrobe: Wardrobe, hero: Hero): Promise<Uint8Array> {
  const choices = HERO_OUTFITS[hero.body];
  const bare = Object.fromEntries(HERO_PARTS.map((part) => [part, choices[part][0]!])) as Record<HeroPart, string>;
  return drawParts(await layersOf(wardrobe, hero, bare), hero.pose);
}

async function dressed(wardrobe: Wardrobe, hero: Hero, outfit: Outfit, size: ImageSize): Promise<Uint8Array> {
  return imageOfSize(drawHero(await layersOf(wardrobe, hero, outfit), hero.pose), size);
}

/**
 * Draws true images of one hero, each in an outfit drawn anew: samples of the distribution that the condition leaves open.
 *
 * @param id of a pair of the data set, such as `hero-0-17`
 * @returns RGB bytes `[count, size, size, 3]`
 * @throws RangeError for an id that is none; Error when the package cannot be had, as {@link flareGame}
 */
export async function dressHero(id: string, count: number, size: ImageSize, random: Random): Promise<Uint8Array> {
  const { wardrobe, hero } = await heroById("dressHero", id);
  const images = Array.from({ length: count }, () => dressed(wardrobe, hero, drawOutfit(hero.body, random), size));
  return plain(Buffer.concat(await Promise.all(images)));
}

/** A hero in one garment after the other, to tell by comparison what a drawn one wears. */
export interface HeroLooks {
  readonly body: HeroBody;
  /** Part map of the default body, `[size, size]`. */
  readonly map: Uint8Array;
  /** RGB bytes `[size, size, 3]`: in look `i`, each part wears number `i` of its list in `HERO_OUTFITS`, or the last. */
  readonly looks: readonly Uint8Array[];
}

/** @throws as {@link dressHero} */
export async function heroLooks(id: string, size: ImageSize): Promise<HeroLooks> {
  const { wardrobe, hero } = await heroById("heroLooks", id);
  const choices = HERO_OUTFITS[hero.body];
  const look = (i: number): Promise<Uint8Array> => {
    const outfit = HERO_PARTS.map((part) => [part, choices[part][Math.min(i, choices[part].length - 1)]!]);
    return dressed(wardrobe, hero, Object.fromEntries(outfit) as Record<HeroPart, string>, size);
  };
  const most = Math.max(...HERO_PARTS.map((part) => choices[part].length));
  return {
    body: hero.body,
    map: mapOfSize(await partsOf(wardrobe, hero), size),
    looks: await Promise.all(Array.from({ length: most }, (_, i) => look(i))),
  };
}

/** The garments that a hero's condition leaves open. Heads of men and women differ in number, and garments are cut for either. */
async function openGarments(id: string, size: ImageSize): Promise<readonly OpenTrait[]> {
  const { body, map, looks } = await heroLooks(id, size);
  return HERO_PARTS.map((part, i) => ({
    name: `${part} (${body})`,
    region: { map, label: 1 + i },
    modes: { kind: "pictures", pictures: looks.slice(0, HERO_OUTFITS[body][part].length) },
  }));
}

/** Garments are read once, however many heroes are dressed. */
const wardrobes = new Map<string, Wardrobe>();

async function heroById(caller: string, id: string): Promise<{ wardrobe: Wardrobe; hero: Hero }> {
  const [seed, index] = numbersOf(caller, id);
  const { folder } = await flareGame(cacheFolder(), false, console.error);
  const wardrobe = wardrobes.get(folder) ?? new Wardrobe(folder);
  wardrobes.set(folder, wardrobe);
  return { wardrobe, hero: heroOf(seed, index, await wardrobe.poses()) };
}

function numbersOf(caller: string, id: string): [seed: number, index: number] {
  const [, seed, index] = /^hero-(-?\d+)-(\d+)$/.exec(id) ?? [];
  if (seed === undefined || index === undefined) {
    throw new RangeError(`${caller}("${id}"): expected an id of the data set heroes, such as "hero-0-17".`);
  }
  return [Number(seed), Number(index)];
}
