import { type ConditionSpec, type OpenRequest, type PairDataset, readCondition } from "../data/index.ts";
import { drawCondition } from "../media/index.ts";
import { heldOutPairs } from "../run/pictures.ts";
import { openData } from "../run/train-run.ts";
import type { Progress } from "../support/progress.ts";

/** A condition and what to show before its samples. */
export interface Chosen {
  /** What to call it: its file, or the number and id of its pair. */
  readonly name: string;
  readonly raster: Uint8Array;
  readonly tiles: readonly Uint8Array[];
  /** The real image, where the condition is one of a held-out pair. */
  readonly image?: Uint8Array;
}

/** Conditions that people painted, `[size, size]`. */
export async function fromFiles(
  files: readonly string[],
  { spec }: { readonly spec: ConditionSpec },
  size: number,
): Promise<Chosen[]> {
  return await Promise.all(
    files.map(async (file): Promise<Chosen> => {
      const raster = await readCondition(file, spec, size);
      return { name: file, raster, tiles: [drawCondition(raster, spec, size)] };
    }),
  );
}

/**
 * Held-out pairs.
 *
 * @param index their numbers, or a function that picks some
 * @throws RangeError for a number that no pair has
 */
export async function fromHeldOut(
  data: OpenRequest,
  index: readonly number[] | ((dataset: PairDataset) => readonly number[]),
  progress: Progress,
): Promise<Chosen[]> {
  const dataset = await openData(data, progress);
  try {
    const { length } = dataset.validation;
    const rows = typeof index === "function" ? index(dataset) : index;
    const outside = rows.find((row) => row >= length);
    if (outside !== undefined) {
      throw new RangeError(`--index ${outside}: there are ${length} held-out pairs, 0 to ${length - 1}.`);
    }
    return heldOutPairs(dataset, rows).map(({ raster, condition, image }, i) => ({
      name: `pair ${rows[i]}, ${dataset.validation.ids[rows[i]!]}`,
      raster,
      tiles: [condition, image],
      image,
    }));
  } finally {
    dataset.close();
  }
}
