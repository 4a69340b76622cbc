import { createHash } from "node:crypto";
import { resolve } from "node:path";
import type { ConditionKind } from "../conditions/index.ts";
import { removeAbandoned } from "../support/files.ts";
import type { PairCache } from "./cache.ts";
import { cacheFolder } from "./cache-folder.ts";
import { namingFolders, reading } from "./damaged.ts";
import type { ImageSize, PairDataset } from "./dataset.ts";
import { drawPairs, openIfWhole } from "./draw-pairs.ts";
import { describeImport, type ImportReport } from "./import/problems.ts";
import { importRecipe } from "./import/recipe.ts";
import { IMPORTS, type ImportInput, type ImportRequest, importSchema, isImport } from "./import/requests.ts";
import {
  isComposed,
  isPhotographs,
  type PhotographsName,
  photographConditions,
  photographsRecipe,
  sizesOf,
} from "./photographs.ts";
import type { OnProgress, Recipe } from "./recipe.ts";
import { emojiRecipe } from "./sets/emoji/recipe.ts";
import type { FaceSplit } from "./sets/faces/geometry.ts";
import { facesRecipe } from "./sets/faces/recipe.ts";
import { handsRecipe } from "./sets/hands/recipe.ts";
import { flareGame } from "./sets/heroes/flare-game.ts";
import { type HeroCondition, heroesRecipe } from "./sets/heroes/recipe.ts";
import { scenesRecipe } from "./sets/scenes/recipe.ts";
import { speechRecipe } from "./sets/speech/recipe.ts";
import { wordsRecipe } from "./sets/words/recipe.ts";
import { splitOf } from "./split.ts";
import { inAllPositions } from "./symmetries.ts";

interface CommonRequest {
  readonly size: ImageSize;
  /** Where cache files lie. Default: `IQVAE_CACHE`, else `.cache/iqvae` below the workspace root. */
  readonly cacheDir?: string;
  /**
   * Called while the files of an import are checked, if that takes a while, and while pairs are drawn for the first time; not at all
   * when they come from the cache. What it throws ends that, and nothing is left behind.
   */
  readonly onProgress?: OnProgress;
  /** Called with a sentence when a cache file had to be thrown away or a package is fetched. Default: standard error. */
  readonly onMessage?: (message: string) => void;
  /**
   * Whether packages may be fetched that are fetched only when asked for: those of Debian, and those of which something should be
   * known before. Default: false, and where one is missing an error says how to ask for it.
   */
  readonly fetch?: boolean;
}

/** Faces: any number of them, decided by `seed`. */
export interface OpenFaces extends CommonRequest {
  readonly name: "faces";
  readonly condition: "semantic" | "lines";
  /** How many faces, both parts together. Default 12,000. */
  readonly count?: number;
  /** Default 0. */
  readonly seed?: number;
  /** Default `geometry`. */
  readonly split?: FaceSplit;
}

/** Emoji: all that there are, drawn by five vendors. */
export interface OpenEmoji extends CommonRequest {
  readonly name: "emoji";
  readonly condition: "edges";
}

/** Hands: any number of them, decided by `seed`. */
export interface OpenHands extends CommonRequest {
  readonly name: "hands";
  readonly condition: "keypoints";
  /** How many pictures, both parts together. Default 12,000. */
  readonly count?: number;
  /** Default 0. */
  readonly seed?: number;
}

/** Scenes of emoji: any number of them, decided by `seed`. */
export interface OpenScenes extends CommonRequest {
  readonly name: "scenes";
  readonly condition: "layout";
  /** How many scenes, both parts together. Default 12,000. */
  readonly count?: number;
  /** Default 0. */
  readonly seed?: number;
}

/** Heroes of a game in poses and outfits: any number of them, decided by `seed`. Drawn from a package that is fetched. */
export interface OpenHeroes extends CommonRequest {
  readonly name: "heroes";
  readonly condition: HeroCondition;
  /** How many pictures, both parts together. Default 12,000. */
  readonly count?: number;
  /** Default 0. */
  readonly seed?: number;
}

/** Emoji and what they are called. */
export interface OpenWords extends CommonRequest {
  readonly name: "words";
  readonly condition: "text";
  /** The most pairs, spread over all that there are. Default: all. */
  readonly count?: number;
}

/** Emoji and what they are called, spoken. */
export interface OpenSpeech extends CommonRequest {
  readonly name: "speech";
  readonly condition: "audio";
  /** The most pairs, spread over all that there are. Default: all. */
  readonly count?: number;
}

/** Photographs in packages that are fetched: all that there are. */
export interface OpenPhotographs extends CommonRequest {
  readonly name: PhotographsName;
  /** One of those that {@link DATASETS} has for the set. */
  readonly condition: ConditionKind;
  /** The most pairs, spread over all that there are; default: all. Of what is composed: how many; default: 12,000. */
  readonly count?: number;
  /** Of what is composed at random. Default 0. */
  readonly seed?: number;
}

/** A built-in data set. */
export type OpenBuiltIn =
  | OpenFaces
  | OpenEmoji
  | OpenHands
  | OpenHeroes
  | OpenScenes
  | OpenWords
  | OpenSpeech
  | OpenPhotographs;

/** A data set in a folder of the user's. */
export type OpenImport = CommonRequest & ImportInput;

/** What {@link openDataset} can open. */
export type OpenRequest = OpenBuiltIn | OpenImport;

/** The built-in data sets, and what each can be conditioned on; the first is the default of the command line. */
export const DATASETS: { readonly [name in OpenBuiltIn["name"]]: readonly ConditionKind[] } = {
  faces: ["semantic", "lines"],
  emoji: ["edges"],
  hands: ["keypoints"],
  heroes: ["keypoints", "semantic"],
  scenes: ["layout"],
  words: ["text"],
  speech: ["audio"],
  ...photographConditions(),
};

const DEFAULT_COUNT = 12_000;
const MOST_PAIRS = 10_000_000;

/**
 * Opens a data set; draws it, or reads its files, first if it is not in the cache. Equal requests give equal bytes.
 *
 * @throws RangeError for a request that names something unknown; Error when the cache cannot be written, a folder does not
 *   hold what is to be imported, or a package of the set cannot be had
 */
export async function openDataset(request: OpenRequest): Promise<PairDataset> {
  const folder = request.cacheDir ?? cacheFolder();
  const { size, onProgress = () => {}, onMessage = console.error } = request;
  const recipe = await recipeOf(request, folder);
  const key = JSON.stringify({ name: recipe.name, ...recipe.parts });
  const digest = createHash("sha256").update(key).digest("hex").slice(0, 12);
  const path = resolve(folder, `${recipe.name}-${recipe.condition.kind}-${size}-${digest}.pairs`);

  const kept = openIfWhole(path, key, onMessage);
  // One that was killed while it drew was run again before what it left was old enough. Caches may be read-only.
  if (kept !== null) await removeAbandoned(path).catch(() => {});
  const cache = kept ?? (await drawPairs(path, key, recipe, size, onProgress));
  const report = reportOf(cache, request);
  // What was left out is said every time, not only when the files are read: whoever trains should know of it.
  if (report !== undefined && (kept === null || report.problems.length > 0)) onMessage(describeImport(report));
  return {
    name: recipe.name,
    key,
    size,
    condition: recipe.condition,
    licenses: recipe.licenses,
    train: recipe.symmetric ? inAllPositions(splitOf(cache, false), size) : splitOf(cache, false),
    validation: splitOf(cache, true),
    ...(recipe.facts === undefined ? {} : { facts: recipe.facts }),
    ...(report === undefined ? {} : { report }),
    close: () => cache.close(),
  };
}

/** What became of an import. Its files may have been moved since, and their folder is part of no key. */
function reportOf({ index: { report } }: PairCache, request: OpenRequest): ImportReport | undefined {
  return report === undefined || !isImport(request) ? undefined : { ...report, path: resolve(request.path) };
}

async function recipeOf(request: OpenRequest, folder: string): Promise<Recipe> {
  if (isImport(request)) return importRecipe(checkedImport(request), folder, request.onProgress ?? (() => {}));
  // Requests come from configuration files too, so nothing that the types promise is taken for granted.
  const { name, size } = request;
  expectOneOf<string>("name", name, [...Object.keys(DATASETS), ...IMPORTS]);
  expectOneOf("size", size, sizesOf(name), ` of ${name}`);
  expectOneOf("condition", request.condition, DATASETS[name], ` of ${name}`);
  if (isOfPhotographs(request)) {
    const { condition, fetch = false, onMessage = console.error } = request;
    const numbers = isComposed(request.name) ? numbered(request) : { count: limit(request), seed: 0 };
    return photographsRecipe({ name: request.name, condition, size, ...numbers }, folder, fetch, onMessage);
  }
  if (request.name !== "heroes") return npmRecipe(request);
  const { condition, fetch = false, onMessage = console.error } = request;
  const numbers = numbered(request);
  const game = await flareGame(folder, fetch, onMessage);
  const recipe = () => heroesRecipe({ condition, size, ...numbers }, game);
  return game.isFetched ? namingFolders([game.root], await reading([game.root], recipe)) : await recipe();
}

function isOfPhotographs(request: OpenBuiltIn): request is OpenPhotographs {
  return isPhotographs(request.name);
}

/** The sets whose drawings come with the program. */
export type OpenFromNpm = Exclude<OpenBuiltIn, OpenHeroes | OpenPhotographs>;

export function npmRecipe(request: OpenFromNpm): Recipe {
  const { size } = request;
  switch (request.name) {
    case "emoji":
      if ((request as { count?: unknown }).count !== undefined)
        throw new RangeError("emoji has as many pairs as there are drawings; leave out count.");
      return emojiRecipe(size);
    case "hands":
      return handsRecipe({ size, ...numbered(request) });
    case "scenes":
      return scenesRecipe({ size, ...numbered(request) });
    case "words":
      return wordsRecipe({ size, count: limit(request) });
    case "speech":
      return speechRecipe({ size, count: limit(request) });
    case "faces": {
      const { condition, split = "geometry" } = request;
      expectOneOf("split", split, ["geometry", "unseen-parts"]);
      return facesRecipe({ condition, size, split, ...numbered(request) });
    }
  }
}

/** @throws RangeError for values that are none, and for keys that there are not */
function checkedImport({
  cacheDir: _,
  onProgress: __,
  onMessage: ___,
  fetch: ____,
  ...request
}: OpenImport): ImportRequest {
  const parsed = importSchema.safeParse(request);
  if (parsed.success) return parsed.data;
  const reasons = parsed.error.issues.map(({ path, message }) => `${path.join(".") || request.name}: ${message}`);
  throw new RangeError(`${request.name} cannot be read: ${reasons.join("; ")}.`);
}

/** Of a set that is what it is: how much of it. */
function limit({ count = MOST_PAIRS }: { readonly count?: number }): number {
  expectInteger("count", count, 1, MOST_PAIRS);
  return count;
}

/** Of a set that is drawn at random: how many pairs, and from which seed. */
function numbered({ count = DEFAULT_COUNT, seed = 0 }: { readonly count?: number; readonly seed?: number }) {
  expectInteger("count", count, 1, MOST_PAIRS);
  expectInteger("seed", seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  return { count, seed };
}

function expectOneOf<T>(what: string, value: T, choices: readonly T[], where = ""): void {
  if (choices.includes(value)) return;
  const list = choices.map((choice) => JSON.stringify(choice)).join(", ");
  const expected = choices.length === 1 ? list : `one of ${list}`;
  throw new RangeError(`${what}${where} must be ${expected}, not ${JSON.stringify(value)}.`);
}

function expectInteger(what: string, value: number, from: number, to: number): void {
  if (Number.isInteger(value) && value >= from && value <= to) return;
  throw new RangeError(`${what} must be a whole number from ${from} to ${to}, not ${value}.`);
}
