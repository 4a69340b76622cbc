import { availableParallelism } from "node:os";
import { conditionFor, conditionLength } from "../conditions/index.ts";
import { reasonOf } from "../media/read-file.ts";
import { CacheRejected, openCache, type PairCache, type PairEntry, recordLength, writeCache } from "./cache.ts";
import type { ImageSize } from "./dataset.ts";
import type { OnProgress, Recipe } from "./recipe.ts";

/** The pairs in a cache file, if there is one that can be used; what cannot be used is said. */
export function openIfWhole(path: string, key: string, onMessage: (message: string) => void): PairCache | null {
  try {
    return openCache(path, key);
  } catch (error) {
    if (!(error instanceof CacheRejected))
      throw new Error(
        `The cache file ${path} cannot be read: ${reasonOf(error)}. Move it away, or name another folder by IQVAE_CACHE or cacheDir.`,
        { cause: error },
      );
    onMessage(`The cache file ${path} cannot be used: ${error.message}. Its pairs are drawn anew.`);
    return null;
  }
}

/** Draws all pairs of a recipe into a cache file. @throws Error as {@link writeCache} and the recipe do */
export async function drawPairs(
  path: string,
  key: string,
  recipe: Recipe,
  size: ImageSize,
  onProgress: OnProgress,
): Promise<PairCache> {
  const { entries, draw, report } = await recipe.prepare();
  const { check } = conditionFor(recipe.condition, size);
  const shape = { size, conditionLength: conditionLength(recipe.condition, size) };
  const drawn: PairEntry[] = [];
  async function* records() {
    let done = 0;
    for await (const pair of ahead(entries.length, draw)) {
      if (pair !== null) {
        check(pair.condition);
        const record = new Uint8Array(recordLength(shape));
        record.set(pair.image);
        record.set(pair.condition, pair.image.length);
        drawn.push(entries[done]!);
        yield record;
      }
      done++;
      onProgress(done, entries.length, "drawing");
    }
  }
  await writeCache(path, shape, entries.length, records(), () => {
    const summary = report?.(drawn);
    return { key, ...shape, entries: drawn, ...(summary === undefined ? {} : { report: summary }) };
  });
  return openCache(path, key)!;
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
