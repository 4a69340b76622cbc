import { ops, scope, type Tensor } from "@iqvae/torch";
import type { FeatureNetwork } from "../features/network.ts";
import { inPlainMode } from "../support/precision.ts";
import { diversity } from "./diversity.ts";
import { frechetDistance } from "./frechet.ts";
import { forEachBatch, type ImageSet, pixelsOf } from "./image-set.ts";
import { momentsOf } from "./moments.ts";
import { type PrecisionRecall, precisionRecall } from "./precision-recall.ts";

const BATCH = 64;

/** What distributions of images are compared by. */
export interface FeatureFigures extends PrecisionRecall {
  readonly frechet: number;
}

/** The feature vectors of all images, float32 `[count, D]` on the CPU. */
export function featuresOf(
  network: Pick<FeatureNetwork, "dims" | "features">,
  images: ImageSet,
  onProgress: (share: number) => void = () => {},
): Tensor {
  const out = ops.aten.empty([images.count, network.dims], { device: "cpu" });
  inPlainMode(() =>
    forEachBatch(images, BATCH, (pixels, first) => {
      const last = first + pixels.shape[0]!;
      out.slice(0, first, last).copy_(network.features(pixels));
      onProgress(last / images.count);
    }),
  );
  return out;
}

/** The Fréchet distance of features `[N, D]` and `[M, D]`. */
export function featureDistance(real: Tensor, other: Tensor): number {
  return scope(() => frechetDistance(momentsOf(real), momentsOf(other)));
}

/** @param real features `[N, D]`. @param drawn features `[M, D]` */
export function featureFigures(real: Tensor, drawn: Tensor): FeatureFigures {
  return { frechet: featureDistance(real, drawn), ...scope(() => precisionRecall(real, drawn)) };
}

/** Conditions that diversity is averaged over: enough for a standard error of a few percent of the spread between them. */
const DIVERSE_CONDITIONS = 200;

/**
 * Mean {@link diversity} over conditions, or over 200 of them where there are more.
 *
 * @param images `samples` images of each condition, one condition after the other
 */
export function meanDiversity(network: FeatureNetwork, images: ImageSet, samples: number): number {
  const conditions = images.count / samples;
  const chosen = Math.min(conditions, DIVERSE_CONDITIONS);
  let sum = 0;
  inPlainMode(() => {
    for (let i = 0; i < chosen; i++) {
      // Spread over all, since neighbors may be alike.
      const condition = Math.floor((i * conditions) / chosen);
      sum += scope(() => diversity(network, pixelsOf(images, condition * samples, (condition + 1) * samples)));
    }
  });
  return sum / chosen;
}
