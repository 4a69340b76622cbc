import type { Calibration } from "./calibration/spread.ts";
import { FeatureStore } from "./feature-store.ts";
import type { ImageSet } from "./image-set.ts";
import type { RealImages } from "./real-images.ts";
import type { SlicedWasserstein } from "./swd.ts";

/** True images of a scoring. */
export interface TrueImages {
  readonly real: RealImages;
  /** The images of the held-out pairs. */
  readonly heldOut: ImageSet;
  /** True images of the conditions once more, where they can be drawn. */
  readonly again: ImageSet | undefined;
}

/**
 * What is known of true images. It is half of the work of a scoring, and the same for all runs that are scored alike: give it to each of
 * them as `ScoreOptions.truths`.
 */
export class Truths implements Disposable {
  /** Of true images alone. */
  readonly features = new FeatureStore();
  /** What true images score in the place of drawn ones, by network where there are several. */
  readonly diversity = new Map<string, number>();
  swd: SlicedWasserstein | undefined;
  calibration: Calibration | undefined;
  #images: { readonly of: string; readonly all: TrueImages } | undefined;

  /**
   * @param of all that decides the images
   * @throws RangeError when others are known already
   */
  async images(of: string, make: () => Promise<TrueImages>): Promise<TrueImages> {
    if (this.#images === undefined) {
      const all = await make();
      this.#images = { of, all };
      for (const set of [all.real.reference, all.real.own, all.heldOut]) if (set !== undefined) this.features.keep(set);
    }
    if (this.#images.of !== of)
      throw new RangeError(
        `Truths are of one data set, part, choice of conditions and seed, ${this.#images.of}, but got ${of}. Take others for that.`,
      );
    return this.#images.all;
  }

  [Symbol.dispose](): void {
    this.features[Symbol.dispose]();
  }
}
