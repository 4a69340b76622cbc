import type { Tensor } from "@iqvae/torch";
import { featuresOf } from "./image-figures.ts";
import type { ImageSet } from "./image-set.ts";
import type { Judge } from "./plain-judges.ts";

/** Features of sets of images, computed once for all figures that want them. */
export class FeatureStore implements Disposable {
  readonly #kept = new Map<Judge, Map<ImageSet, Tensor>>();

  /** Float32 `[count, D]`, which the store owns. */
  of(judge: Judge, images: ImageSet): Tensor {
    const ofJudge = this.#kept.get(judge) ?? new Map<ImageSet, Tensor>();
    this.#kept.set(judge, ofJudge);
    const features = ofJudge.get(images) ?? featuresOf(judge, images);
    ofJudge.set(images, features);
    return features;
  }

  [Symbol.dispose](): void {
    for (const ofJudge of this.#kept.values()) for (const features of ofJudge.values()) features.dispose();
    this.#kept.clear();
  }
}
