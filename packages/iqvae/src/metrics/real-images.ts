import type { PairDataset } from "../data/index.ts";
import { permutation, seededRandom } from "../support/random.ts";
import { type ImageSet, imageSet, joinImages, withConditions } from "./image-set.ts";
import type { TrueImages } from "./truths.ts";

/** Real images that drawn ones are held against. */
export interface RealImages {
  /** As many images of the training split as are drawn, or all where there are fewer. */
  readonly reference: ImageSet;
  /**
   * Real images that could stand in the place of the drawn ones, to see what is the best that a figure can be: true images of
   * the very conditions, where what these leave open can be drawn anew. Otherwise further images of the training split;
   * `undefined` where they do not suffice.
   */
  readonly own: ImageSet | undefined;
  /** Whether `own` are of the very conditions. */
  readonly isOfConditions: boolean;
}

/** @param ids of the conditions. @param samples images of each */
export async function realImages(
  dataset: Pick<PairDataset, "train" | "size" | "facts">,
  ids: readonly string[],
  samples: number,
  seed: number,
): Promise<RealImages> {
  const { train, size, facts } = dataset;
  const order = permutation(train.length, seededRandom("metrics reference", seed));
  const wanted = ids.length * samples;
  const setOf = (rows: Uint32Array) => {
    const { images, conditions } = train.batch(rows);
    return withConditions(imageSet(images, size), conditions);
  };
  const reference = setOf(order.subarray(0, wanted));
  const own = await trueImages(dataset, ids, samples, "metrics colors", seed);
  if (own !== undefined) return { reference, own, isOfConditions: true };
  const nameOf = (row: number) => facts?.picture?.(train.ids[row]!) ?? train.ids[row]!;
  const referred = new Set(Array.from(order.subarray(0, wanted), nameOf));
  const rest = order.subarray(wanted).filter((row) => !referred.has(nameOf(row)));
  const further = rest.length < wanted ? undefined : setOf(rest.subarray(0, wanted));
  return { reference, own: further, isOfConditions: false };
}

/**
 * True images of conditions, `samples` of each, one condition after the other; `undefined` where they cannot be drawn.
 *
 * @param purpose decides the draw together with the seed
 */
export async function trueImages(
  { facts, size }: Pick<PairDataset, "size" | "facts">,
  ids: readonly string[],
  samples: number,
  purpose: string,
  seed: number,
): Promise<ImageSet | undefined> {
  if (facts?.trueImages === undefined) return undefined;
  const images: Uint8Array[] = [];
  for (const id of ids) images.push(await facts.trueImages(id, samples, size, seededRandom(purpose, seed, id)));
  return joinImages(images, size);
}

/**
 * All true images of a scoring, each with its condition.
 *
 * @param rows numbers of held-out pairs
 * @param samples images of each
 */
export async function allTrueImages(
  dataset: PairDataset,
  rows: readonly number[],
  samples: number,
  seed: number,
): Promise<TrueImages> {
  const ids = rows.map((row) => dataset.validation.ids[row]!);
  const { images, conditions } = dataset.validation.batch(rows);
  const heldOut = withConditions(imageSet(images, dataset.size), conditions);
  const [real, again] = [
    await realImages(dataset, ids, samples, seed),
    await trueImages(dataset, ids, samples, "metrics chance", seed),
  ];
  const ofEach = (set: ImageSet | undefined) => set && withConditions(set, conditions, samples);
  return { real: real.isOfConditions ? { ...real, own: ofEach(real.own) } : real, heldOut, again: ofEach(again) };
}
