import type { Tensor } from "@iqvae/torch";
import type { Peers } from "../support/peers.ts";
import { featuresOf } from "./image-figures.ts";
import type { ImageSet } from "./image-set.ts";
import type { Judge } from "./plain-judges.ts";

/** Features of sets of images, computed once for all figures that want them. */
export class FeatureStore implements Disposable {
  readonly #kept = new Map<Judge, Map<ImageSet, Tensor>>();
  readonly #lasting = new Set<ImageSet>();
  readonly #longer: FeatureStore | undefined;

  readonly #peers: Peers | undefined;

  /**
   * @param longer a store that lives longer, which keeps the features of some sets: see {@link keep}
   * @param peers those who compute them together
   */
  constructor(longer?: FeatureStore, peers?: Peers) {
    this.#longer = longer;
    this.#peers = peers;
  }

  /** From now on, shorter-lived stores leave the features of this set to this one. */
  keep(images: ImageSet): void {
    this.#lasting.add(images);
  }

  keeps(images: ImageSet): boolean {
    return this.#lasting.has(images);
  }

  /** Float32 `[count, D]`, which the store owns, or the one that lives longer. */
  of(judge: Judge, images: ImageSet): Tensor {
    if (this.#longer?.keeps(images)) return this.#longer.of(judge, images);
    const ofJudge = this.#kept.get(judge) ?? new Map<ImageSet, Tensor>();
    this.#kept.set(judge, ofJudge);
    const features = ofJudge.get(images) ?? featuresOf(judge, images, this.#peers);
    ofJudge.set(images, features);
    return features;
  }

  [Symbol.dispose](): void {
    for (const ofJudge of this.#kept.values()) for (const features of ofJudge.values()) features.dispose();
    this.#kept.clear();
  }
}
