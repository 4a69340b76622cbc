import { colourEdges, type PairDataset } from "../../data/index.ts";
import type { Progress } from "../../training/progress.ts";
import type { ImageSet } from "../image-set.ts";
import { agreementOf, type FidelityFigure } from "./agreement.ts";
import { readingFidelity } from "./reading.ts";
import { retrievalFidelity } from "./retrieval.ts";

/** How well images follow the conditions that they were drawn for. */
export interface Fidelity {
  /** Digests of the networks that look at the images, by name: figures of different ones must not be compared. */
  readonly networks: Readonly<Record<string, string>>;
  /**
   * @param conditions the bytes of each image's condition, one after the other
   * @throws RangeError when a condition is none of the data set's held-out ones, where it is looked for among them
   */
  score(images: ImageSet, conditions: Uint8Array): readonly FidelityFigure[];
}

/** How a measure comes by its network. */
export interface FidelityOptions {
  readonly progress: Progress;
  /** Where networks are cached. Default: beside the data. */
  readonly cacheDir?: string;
  /** Steps of the network's training. Default: enough for figures that mean something. */
  readonly steps?: number;
}

/** Data sets whose edges `colourEdges` found in the images. */
const COMPUTED_EDGES: readonly string[] = ["emoji", "images"];

/**
 * The measure for a data set: what a condition says of places in the image is read out of the image again and compared, edges
 * by the detector that found them and all else by a small network; words and sounds are retrieved by the image. The networks
 * are trained on the data set's training split, those of `faces` on 12,000 faces of seed 0.
 *
 * @returns `undefined` where nothing can be told apart: words or sounds with a single concept among the held-out pairs
 */
export async function fidelityOf(dataset: PairDataset, options: FidelityOptions): Promise<Fidelity | undefined> {
  const { condition, name, size } = dataset;
  if (condition.kind === "edges" && COMPUTED_EDGES.includes(name)) return edgeFidelity;
  const agreement = agreementOf(condition, size);
  if (agreement === undefined) return await retrievalFidelity(dataset, options);
  return await readingFidelity(dataset, agreement, options);
}

const edgeFidelity: Fidelity = {
  networks: {},
  score(images, conditions) {
    const { size, count, pixels } = images;
    const edges = new Uint8Array(conditions.length);
    for (let i = 0; i < count; i++) {
      const image = pixels.subarray(i * size * size * 3, (i + 1) * size * size * 3);
      edges.set(colourEdges(image, size), i * size * size);
    }
    return agreementOf({ kind: "edges" }, size)!(edges, conditions);
  },
};
