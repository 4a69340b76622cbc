import {
  faceGeometryOf,
  type ImageSize,
  type PairDataset,
  recolourFace,
  renderFaceCondition,
  seededRandom,
} from "../data/index.ts";
import { permutation } from "../data/random.ts";
import { type ImageSet, imageSet, joinImages } from "./image-set.ts";

/** Real images that drawn ones are held against. */
export interface RealImages {
  /** As many images of the training split as are drawn, or all where there are fewer. */
  readonly reference: ImageSet;
  /**
   * Real images that could stand in the place of the drawn ones, to see what is the best that a figure can be. `faces`: true
   * images of the very conditions, in colors drawn anew. Otherwise further images of the training split; `undefined` where
   * they do not suffice.
   */
  readonly own: ImageSet | undefined;
}

/** @param ids of the conditions. @param samples images of each */
export async function realImages(
  dataset: PairDataset,
  ids: readonly string[],
  samples: number,
  seed: number,
): Promise<RealImages> {
  const { train, size, name } = dataset;
  const order = permutation(train.length, seededRandom("metrics reference", seed));
  const wanted = ids.length * samples;
  const reference = imageSet(train.batch(order.subarray(0, wanted)).images, size);
  if (name === "faces") return { reference, own: await trueFaces(ids, samples, size, seed) };
  const rest = order.subarray(wanted, 2 * wanted);
  return { reference, own: rest.length < wanted ? undefined : imageSet(train.batch(rest).images, size) };
}

async function trueFaces(ids: readonly string[], samples: number, size: ImageSize, seed: number): Promise<ImageSet> {
  const images: Uint8Array[] = [];
  for (const id of ids)
    images.push(await recolourFace(faceGeometryOf(id), samples, size, seededRandom("metrics colors", seed, id)));
  return joinImages(images, size);
}

/** The semantic maps of faces, whatever the condition was. */
export async function faceMaps(ids: readonly string[], size: ImageSize): Promise<Uint8Array[]> {
  return await Promise.all(ids.map((id) => renderFaceCondition(faceGeometryOf(id), "semantic", size)));
}
