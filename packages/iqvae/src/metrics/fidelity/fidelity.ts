import { colorEdges } from "@iqvae/runtime";
import type { PairDataset } from "../../data/index.ts";
import { agreementOf } from "./agreement.ts";
import type { Fidelity, FidelityOptions } from "./measure.ts";
import { readingFidelity } from "./reading.ts";
import { retrievalFidelity } from "./retrieval.ts";

/**
 * The measure for a data set: what a condition says of places in the image is read out of the image again and compared, edges
 * by the detector that found them and all else by a small network; words and sounds are retrieved by the image. The networks
 * are trained on the data set's training split, those of `faces` on 12,000 faces of seed 0.
 *
 * @returns `undefined` where nothing can be told apart: words or sounds with a single concept among the held-out pairs
 */
export async function fidelityOf(dataset: PairDataset, options: FidelityOptions): Promise<Fidelity | undefined> {
  const { condition, facts, size } = dataset;
  if (condition.kind === "edges" && facts?.edgesOfImage) return edgeFidelity;
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
      edges.set(colorEdges(image, size), i * size * size);
    }
    return agreementOf({ kind: "edges" }, size)!(edges, conditions);
  },
};
