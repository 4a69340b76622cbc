import { drawingsOf, dressHero, faceGeometryOf, type ImageSize, type PairDataset, recolorFace } from "../data/index.ts";
import { permutation, type Random, seededRandom } from "../support/random.ts";
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

/** True images of a pair's condition, RGB bytes `[count, size, size, 3]`. */
type Draw = (id: string, count: number, size: ImageSize, random: Random) => Promise<Uint8Array>;

const oneOf: Draw = async (id, count, size, random) => {
  const drawings = await drawingsOf(id, size);
  const chosen = Array.from({ length: count }, () => drawings[Math.floor(random() * drawings.length)]!);
  return joinImages(chosen, size).pixels;
};

/** The data sets of which true images of a condition can be drawn. */
const TRUE_IMAGES: Readonly<Record<string, Draw>> = {
  faces: (id, count, size, random) => recolorFace(faceGeometryOf(id), count, size, random),
  heroes: dressHero,
  words: oneOf,
  speech: oneOf,
};

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
  const draw = TRUE_IMAGES[name];
  if (draw !== undefined) {
    const images: Uint8Array[] = [];
    for (const id of ids) images.push(await draw(id, samples, size, seededRandom("metrics colors", seed, id)));
    return { reference, own: joinImages(images, size), isOfConditions: true };
  }
  const rest = order.subarray(wanted, 2 * wanted);
  const own = rest.length < wanted ? undefined : imageSet(train.batch(rest).images, size);
  return { reference, own, isOfConditions: false };
}
