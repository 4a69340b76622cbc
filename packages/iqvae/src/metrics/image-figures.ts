import { scope, type Tensor, tensor } from "@iqvae/torch";
import type { FeatureNetwork } from "../features/network.ts";
import type { Peers } from "../support/peers.ts";
import { inPlainMode } from "../support/precision.ts";
import { shareOut } from "../support/share.ts";
import { diversity } from "./diversity.ts";
import { frechetDistance } from "./frechet.ts";
import { type ImageSet, pixelsOf } from "./image-set.ts";
import { momentsOf } from "./moments.ts";
import { type PrecisionRecall, precisionRecall } from "./precision-recall.ts";

const BATCH = 64;

/** What distributions of images are compared by. */
export interface FeatureFigures extends PrecisionRecall {
  readonly frechet: number;
}

/** The feature vectors of all images, float32 `[count, D]` on the CPU. With peers, each computes those of some batches. */
export function featuresOf(
  network: Pick<FeatureNetwork, "dims" | "features">,
  images: ImageSet,
  peers?: Peers,
): Tensor {
  const starts = Array.from({ length: Math.ceil(images.count / BATCH) }, (_, i) => i * BATCH);
  const parts = shareOut(peers, starts, (first) => {
    const last = Math.min(first + BATCH, images.count);
    return inPlainMode(() => scope(() => network.features(pixelsOf(images, first, last)).read("float32")));
  });
  const all = new Float32Array(images.count * network.dims);
  parts.forEach((part, i) => {
    all.set(part, i * BATCH * network.dims);
  });
  return tensor(all, { shape: [images.count, network.dims], device: "cpu" });
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
export function meanDiversity(network: FeatureNetwork, images: ImageSet, samples: number, peers?: Peers): number {
  const conditions = images.count / samples;
  const chosen = Math.min(conditions, DIVERSE_CONDITIONS);
  // Spread over all, since neighbors may be alike.
  const spread = Array.from({ length: chosen }, (_, i) => Math.floor((i * conditions) / chosen));
  const each = shareOut(peers, spread, (condition) =>
    inPlainMode(() =>
      scope(() => diversity(network, pixelsOf(images, condition * samples, (condition + 1) * samples))),
    ),
  );
  return each.reduce((sum, one) => sum + one, 0) / chosen;
}
