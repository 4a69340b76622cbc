import { noGrad, scope, type Tensor } from "@iqvae/torch";
import { type FeatureNetwork, unitLayers } from "../features/network.ts";
import { toUnitRange } from "../models/iqvae.ts";

/**
 * How different the images look that were drawn for one condition: the mean perceptual distance of all pairs of them
 * (Zhu et al. 2017, BicycleGAN, § 5.2). With `vgg16-lpips` it is the LPIPS that papers give as diversity; higher is more varied.
 *
 * The perceptual distance is a squared distance of vectors, and the squared distances of all pairs add up to `n` times those
 * from the mean: one pass through the network for each image is enough.
 *
 * @param pixels uint8 `[n, H, W, 3]`, all of one condition
 * @throws RangeError for fewer than two images
 */
export function diversity(network: FeatureNetwork, pixels: Tensor): number {
  const n = pixels.shape[0]!;
  if (n < 2) throw new RangeError(`diversity takes at least 2 images of one condition, but got ${n}; raise samples.`);
  return scope(() =>
    noGrad(() => {
      const spreads = unitLayers(network, toUnitRange(pixels)).map(({ unit, weights }) => {
        const apart = unit.sub(unit.mean([0], true)).square();
        const weighted = weights === null ? apart : apart.mul(weights.reshape([1, -1, 1, 1]));
        return weighted.sum([0, 1]).to("float64").mean();
      });
      return (2 * spreads.reduce((sum, spread) => sum.add(spread)).item()) / (n - 1);
    }),
  );
}
