import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { replaceFile } from "@iqvae/torch";
import { type ConditionKind, conditionFor, conditionLength } from "../conditions/index.ts";
import { CacheRejected, openCache, type PairCache, type PairEntry, recordLength, writeCache } from "./cache.ts";
import { cacheFolder } from "./cache-folder.ts";
import { IMAGE_SIZES, type ImageSize, type PairDataset, type PairSplit } from "./dataset.ts";
import { describeImport, type ImportReport } from "./import/problems.ts";
import { importRecipe } from "./import/recipe.ts";
import { IMPORTS, type ImportInput, type ImportRequest, importSchema, isImport } from "./import/requests.ts";
import type { License } from "./licenses.ts";
import type { Recipe } from "./recipe.ts";
import { emojiRecipe } from "./sets/emoji/recipe.ts";
import type { FaceSplit } from "./sets/faces/geometry.ts";
import { facesRecipe } from "./sets/faces/recipe.ts";
import { handsRecipe } from "./sets/hands/recipe.ts";
import { flareGame, flareGameAtHand, heroLicense } from "./sets/heroes/flare-game.ts";
import { type HeroCondition, heroesRecipe } from "./sets/heroes/recipe.ts";
import { scenesRecipe } from "./sets/scenes/recipe.ts";
import { speechRecipe } from "./sets/speech/recipe.ts";
import { wordsRecipe } from "./sets/words/recipe.ts";

interface CommonRequest {
  readonly size: ImageSize;
  /** Where cache files lie. Default: `IQVAE_CACHE`, else `.cache/iqvae` below the workspace root. */
  readonly cacheDir?: string;
  /**
   * Called while pairs are drawn for the first time; not at all when they come from the cache. What it throws ends the drawing, and
   * nothing is left behind.
   */
  readonly onProgress?: (done: number, total: number) => void;
  /** Called with a sentence when a cache file had to be thrown away or a package is fetched. Default: standard error. */
  readonly onMessage?: (message: string) => void;
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

/** A built-in data set. */
export type OpenBuiltIn = OpenFaces | OpenEmoji | OpenHands | OpenHeroes | OpenScenes | OpenWords | OpenSpeech;

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
};

const DEFAULT_COUNT = 12_000;
const MOST_PAIRS = 10_000_000;

/**
 * Opens a data set; draws it, or reads its files, first if it is not in the cache. Equal requests give equal bytes.
 *
 * @throws RangeError for a request that names something unknown; Error when the cache cannot be written, a folder does not
 *   hold what is to be imported, or the package of heroes cannot be had
 */
export async function openDataset(request: OpenRequest): Promise<PairDataset> {
  const folder = request.cacheDir ?? cacheFolder();
  const recipe = await recipeOf(request, folder);
  const key = JSON.stringify({ name: recipe.name, ...recipe.parts });
  const digest = createHash("sha256").update(key).digest("hex").slice(0, 12);
  const path = resolve(folder, `${recipe.name}-${recipe.condition.kind}-${request.size}-${digest}.pairs`);

  const cache = openIfWhole(path, key, request.onMessage ?? console.error) ?? (await draw(path, key, recipe, request));
  const report = readReport(path);
  const side = request.size;
  const split = (validation: boolean) => splitOf(cache, validation);
  return {
    name: recipe.name,
    key,
    size: side,
    condition: recipe.condition,
    licenses: recipe.licenses,
    train: split(false),
    validation: split(true),
    ...(recipe.facts === undefined ? {} : { facts: recipe.facts }),
    ...(report === undefined ? {} : { report }),
    close: () => cache.close(),
  };
}

/** Whose drawings the built-in data sets are made of; those of heroes where they have been fetched. */
export function dataLicenses(): readonly License[] {
  const requests: OpenFromNpm[] = [
    { name: "faces", condition: "semantic", size: 32 },
    { name: "emoji", condition: "edges", size: 32 },
    { name: "hands", condition: "keypoints", size: 32 },
    { name: "speech", condition: "audio", size: 32 },
  ];
  const game = flareGameAtHand(cacheFolder());
  const licenses = [
    ...requests.flatMap((request) => npmRecipe(request).licenses),
    ...(game === undefined ? [] : [heroLicense(game)]),
  ];
  return [...new Map(licenses.map((license) => [license.package, license])).values()];
}

async function recipeOf(request: OpenRequest, folder: string): Promise<Recipe> {
  if (isImport(request)) return importRecipe(checkedImport(request));
  // Requests come from configuration files too, so nothing that the types promise is taken for granted.
  const { name, size } = request;
  expectOneOf<string>("name", name, [...Object.keys(DATASETS), ...IMPORTS]);
  expectOneOf("size", size, IMAGE_SIZES);
  expectOneOf("condition", request.condition, DATASETS[name], ` of ${name}`);
  if (request.name !== "heroes") return npmRecipe(request);
  const { condition, onMessage = console.error } = request;
  const numbers = numbered(request);
  return await heroesRecipe({ condition, size, ...numbers }, await flareGame(folder, onMessage));
}

/** The sets whose drawings come with the program. */
type OpenFromNpm = Exclude<OpenBuiltIn, OpenHeroes>;

function npmRecipe(request: OpenFromNpm): Recipe {
  const { size } = request;
  switch (request.name) {
    case "emoji":
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
function checkedImport({ cacheDir: _, onProgress: __, onMessage: ___, ...request }: OpenImport): ImportRequest {
  const parsed = importSchema.safeParse(request);
  if (parsed.success) return parsed.data;
  const reasons = parsed.error.issues.map(({ path, message }) => `${path.join(".") || request.name}: ${message}`);
  throw new RangeError(`openDataset: ${reasons.join("; ")}.`);
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
  throw new RangeError(`openDataset: ${what}${where} must be one of ${list}, not ${JSON.stringify(value)}.`);
}

function expectInteger(what: string, value: number, from: number, to: number): void {
  if (Number.isInteger(value) && value >= from && value <= to) return;
  throw new RangeError(`openDataset: ${what} must be a whole number from ${from} to ${to}, not ${value}.`);
}

function openIfWhole(path: string, key: string, onMessage: (message: string) => void): PairCache | null {
  try {
    return openCache(path, key);
  } catch (error) {
    if (!(error instanceof CacheRejected)) throw error;
    onMessage(`The cache file ${path} cannot be used: ${error.message}. Its pairs are drawn anew.`);
    return null;
  }
}

async function draw(path: string, key: string, recipe: Recipe, request: OpenRequest): Promise<PairCache> {
  const { entries, draw, report } = await recipe.prepare();
  const { size, onProgress, onMessage = console.error } = request;
  const { check } = conditionFor(recipe.condition, size);
  const length = conditionLength(recipe.condition, size);
  // Left out where it is the default, so that files of former versions stay what they are.
  const header = { key, size, ...(length === size ** 2 ? {} : { conditionLength: length }), entries };
  const drawn: PairEntry[] = [];
  let summary: ImportReport | undefined;
  async function* records() {
    let done = 0;
    for await (const pair of ahead(entries.length, draw)) {
      if (pair === null) yield null;
      else {
        check(pair.condition);
        const record = new Uint8Array(recordLength(header));
        record.set(pair.image);
        record.set(pair.condition, pair.image.length);
        drawn.push(entries[done]!);
        yield record;
      }
      done++;
      onProgress?.(done, entries.length);
    }
    summary = report?.(drawn);
  }
  await writeCache(path, header, records());
  if (summary !== undefined) {
    writeReport(path, summary);
    onMessage(describeImport(summary));
  }
  return openCache(path, key)!;
}

/** What became of an import is kept beside its pairs. */
function reportPath(cache: string): string {
  return cache.replace(/\.pairs$/, ".report.json");
}

function writeReport(cache: string, report: ImportReport): void {
  replaceFile(reportPath(cache), JSON.stringify(report, null, 2));
}

function readReport(cache: string): ImportReport | undefined {
  const path = reportPath(cache);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as ImportReport) : undefined;
}

/** Results of `task(0) … task(length − 1)` in order, some of them under way at the same time. */
async function* ahead<T>(length: number, task: (index: number) => Promise<T>): AsyncGenerator<T> {
  const width = 2 * availableParallelism() + 2;
  const pending: Promise<T>[] = [];
  const start = (index: number) => {
    const result = task(index);
    // A failure surfaces when its turn comes; until then it must not count as unhandled.
    result.catch(() => {});
    pending.push(result);
  };
  for (let index = 0; index < length; index++) {
    start(index);
    if (pending.length === width) yield await pending.shift()!;
  }
  while (pending.length > 0) yield await pending.shift()!;
}

function splitOf(cache: PairCache, validation: boolean): PairSplit {
  const { entries, size } = cache.header;
  const records = Uint32Array.from(entries.keys()).filter((i) => entries[i]!.validation === validation);
  const ids = Array.from(records, (i) => entries[i]!.id);
  const imageLength = size * size * 3;
  const length = recordLength(cache.header);
  return {
    length: ids.length,
    ids,
    batch(indices) {
      const images = new Uint8Array(indices.length * imageLength);
      const conditions = new Uint8Array(indices.length * (length - imageLength));
      const record = new Uint8Array(length);
      for (let i = 0; i < indices.length; i++) {
        const index = records[indices[i]!];
        if (index === undefined) {
          const part = validation ? "validation" : "train";
          throw new RangeError(`${part}.batch: expected numbers from 0 to ${ids.length - 1}, got ${indices[i]}.`);
        }
        cache.read(index, record);
        images.set(record.subarray(0, imageLength), i * imageLength);
        conditions.set(record.subarray(imageLength), i * (length - imageLength));
      }
      return { images, conditions };
    },
  };
}
