import type { Progress } from "../../support/progress.ts";
import type { ImageSet } from "../image-set.ts";
import type { Figure } from "../run-score.ts";

/** One figure of how well images follow their conditions. The first of several has the key `fidelity`. */
export type FidelityFigure = Pick<Figure, "key" | "label" | "value" | "better">;

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
