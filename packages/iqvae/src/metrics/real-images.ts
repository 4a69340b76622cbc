import type { PairDataset } from "../data/index.ts";
import { permutation, seededRandom } from "../support/random.ts";
import { type ImageSet, imageSet, joinImages } from "./image-set.ts";

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
  dataset: PairDataset,
  ids: readonly string[],
  samples: number,
  seed: number,
): Promise<RealImages> {
  const { train, size } = dataset;
  const order = permutation(train.length, seededRandom("metrics reference", seed));
  const wanted = ids.length * samples;
  const reference = imageSet(train.batch(order.subarray(0, wanted)).images, size);
  const own = await trueImages(dataset, ids, samples, "metrics colors", seed);
  if (own !== undefined) return { reference, own, isOfConditions: true };
  const rest = order.subarray(wanted, 2 * wanted);
  const further = rest.length < wanted ? undefined : imageSet(train.batch(rest).images, size);
  return { reference, own: further, isOfConditions: false };
}

/**
 * True images of conditions, `samples` of each, one condition after the other; `undefined` where they cannot be drawn.
 *
 * @param purpose decides the draw together with the seed
 */
export async function trueImages(
  { facts, size }: PairDataset,
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
