import type { ConditionKind, ConditionSpec } from "../conditions/index.ts";
import { packageAtHand, packageFolderOf } from "../support/packages.ts";
import { namingFolders } from "./damaged.ts";
import { IMAGE_SIZES, type ImageSize } from "./dataset.ts";
import { type DataPackage, type PackageSource, packageSource } from "./packages.ts";
import type { Recipe } from "./recipe.ts";
import { CIFAR10 } from "./sets/cifar10/packages.ts";
import { CIFAR10_SIZES, type Cifar10Condition, cifar10Recipe, cifar10Spec } from "./sets/cifar10/recipe.ts";
import {
  EARTH_COVER,
  EARTH_MONTH_PACKAGES,
  EARTH_MONTH_SIZES,
  EARTH_PACKAGES,
  EARTH_SIZES,
  earthMonthsRecipe,
  earthRecipe,
} from "./sets/earth/recipe.ts";
import { FASHION } from "./sets/fashion/packages.ts";
import {
  FASHION_SIZES,
  type FashionCondition,
  type FashionSize,
  fashionRecipe,
  fashionSpec,
} from "./sets/fashion/recipe.ts";
import { FASHION_LAYOUT, FASHION_SCENE_SIZES, fashionScenesRecipe } from "./sets/fashion/scenes.ts";
import { FLARE_GAME, flareGameAtHand } from "./sets/heroes/flare-game.ts";
import { GCOMPRIS } from "./sets/photos/packages.ts";
import { photosRecipe } from "./sets/photos/recipe.ts";
import { STAMP_PACKAGES } from "./sets/stamps/packages.ts";
import { STAMP_SIZES, type StampCondition, stampSpec, stampsRecipe } from "./sets/stamps/recipe.ts";

/** What is asked of a set of photographs. */
interface PhotographsRequest {
  readonly condition: ConditionKind;
  readonly size: ImageSize;
  readonly count: number;
  readonly seed: number;
}

/** A set of photographs that come in packages which are fetched. */
interface Photographs {
  readonly conditions: readonly ConditionKind[];
  readonly sizes: readonly ImageSize[];
  readonly packages: readonly DataPackage[];
  /** Whether its images are composed at random: as many as are asked for, from a seed. Otherwise there are so many of them. */
  readonly composed?: true;
  spec(condition: ConditionKind): ConditionSpec;
  /** @param request of one of the conditions and sizes above */
  recipe(request: PhotographsRequest, source: PackageSource): Recipe;
}

type SizeOf<Sizes extends readonly ImageSize[]> = Sizes[number];

/** The sets of photographs, by name. */
export const PHOTOGRAPHS = {
  earth: {
    conditions: ["semantic"],
    sizes: EARTH_SIZES,
    packages: EARTH_PACKAGES,
    spec: () => EARTH_COVER,
    recipe: ({ size, count }, source) => earthRecipe({ size: size as SizeOf<typeof EARTH_SIZES>, count }, source),
  },
  "earth-months": {
    conditions: ["semantic"],
    sizes: EARTH_MONTH_SIZES,
    packages: EARTH_MONTH_PACKAGES,
    spec: () => EARTH_COVER,
    recipe: ({ size, count }, source) =>
      earthMonthsRecipe({ size: size as SizeOf<typeof EARTH_MONTH_SIZES>, count }, source),
  },
  cifar10: {
    conditions: ["text", "edges"],
    sizes: CIFAR10_SIZES,
    packages: [CIFAR10],
    spec: (condition) => cifar10Spec(condition as Cifar10Condition),
    recipe: ({ condition, count }, source) =>
      cifar10Recipe({ condition: condition as Cifar10Condition, count }, source),
  },
  fashion: {
    conditions: ["text", "semantic"],
    sizes: FASHION_SIZES,
    packages: [FASHION],
    spec: (condition) => fashionSpec(condition as FashionCondition),
    recipe: ({ condition, size, count }, source) =>
      fashionRecipe({ condition: condition as FashionCondition, size: size as FashionSize, count }, source),
  },
  "fashion-scenes": {
    conditions: ["layout"],
    sizes: FASHION_SCENE_SIZES,
    packages: [FASHION],
    composed: true,
    spec: () => FASHION_LAYOUT,
    recipe: ({ size, count, seed }, source) => fashionScenesRecipe({ size, count, seed }, source),
  },
  photos: {
    conditions: ["edges"],
    sizes: IMAGE_SIZES,
    packages: [GCOMPRIS],
    spec: () => ({ kind: "edges" }),
    recipe: ({ size, count }, source) => photosRecipe({ size, count }, source),
  },
  stamps: {
    conditions: ["layout", "semantic", "text"],
    sizes: STAMP_SIZES,
    packages: STAMP_PACKAGES,
    composed: true,
    spec: (condition) => stampSpec(condition as StampCondition),
    recipe: ({ condition, size, count, seed }, source) =>
      stampsRecipe({ condition: condition as StampCondition, size, count, seed }, source),
  },
} as const satisfies Readonly<Record<string, Photographs>>;

export type PhotographsName = keyof typeof PHOTOGRAPHS;

export function isPhotographs(name: string): name is PhotographsName {
  return Object.hasOwn(PHOTOGRAPHS, name);
}

/** What each of the sets can be conditioned on. */
export function photographConditions(): { readonly [name in PhotographsName]: readonly ConditionKind[] } {
  const entries = Object.entries<Photographs>(PHOTOGRAPHS).map(([name, { conditions }]) => [name, conditions]);
  return Object.fromEntries(entries) as { readonly [name in PhotographsName]: readonly ConditionKind[] };
}

export function photographsSpec(name: PhotographsName, condition: ConditionKind): ConditionSpec {
  const set: Photographs = PHOTOGRAPHS[name];
  return set.spec(condition);
}

/** The packages that a set is made of. */
export function packagesOf(name: PhotographsName): readonly DataPackage[] {
  return PHOTOGRAPHS[name].packages;
}

/** Whether a set's images are composed at random. */
export function isComposed(name: PhotographsName): boolean {
  const set: Photographs = PHOTOGRAPHS[name];
  return set.composed ?? false;
}

/** The sizes that a built-in set has. */
export function sizesOf(name: string): readonly ImageSize[] {
  return isPhotographs(name) ? PHOTOGRAPHS[name].sizes : IMAGE_SIZES;
}

/** @param asked whether packages may be fetched that are fetched only when asked for */
export function photographsRecipe(
  request: PhotographsRequest & { readonly name: PhotographsName },
  cache: string,
  asked: boolean,
  onMessage: (message: string) => void,
): Recipe {
  const set: Photographs = PHOTOGRAPHS[request.name];
  const recipe = set.recipe(request, packageSource(request.name, cache, asked, onMessage));
  return namingFolders(
    set.packages.map((each) => packageFolderOf(each, cache)),
    recipe,
  );
}

/** The packages of all sets, each once, with the sets that need it and whether it is at hand. */
export function dataPackages(
  cache: string,
): readonly { readonly package: DataPackage; readonly sets: readonly string[]; readonly folder: string | undefined }[] {
  const sets = Object.entries<Pick<Photographs, "packages">>({ heroes: { packages: [FLARE_GAME] }, ...PHOTOGRAPHS });
  const all = new Map(sets.flatMap(([, { packages }]) => packages.map((each) => [each.name, each])));
  return [...all.values()].map((each) => ({
    package: each,
    sets: sets.filter(([, { packages }]) => packages.includes(each)).map(([name]) => name),
    folder: each === FLARE_GAME ? flareGameAtHand(cache)?.root : packageAtHand(each, cache),
  }));
}
