import { noGrad, scope, type Tensor } from "@iqvae/torch";

/** One activation of a network that the perceptual distance looks at. */
export interface FeatureLayer {
  /** `[B, C, h, w]` */
  readonly activation: Tensor;
  /** What each channel weighs, `[C]`: the linear heads of LPIPS. `null`: all channels weigh 1. */
  readonly weights: Tensor | null;
}

/** A fixed image network. Its weights take no gradient; what goes in may. */
export interface FeatureNetwork {
  /** Stands in the name of every figure that was computed with it. */
  readonly name: string;
  /** What its weights are known by: figures of networks with different digests must not be compared. Hexadecimal SHA-256. */
  readonly digest: string;
  /** Length of a feature vector, `D`. */
  readonly dims: number;
  /** Pixels uint8 `[B, H, W, 3]` → float32 `[B, D]`: the features that distributions of images are compared by. */
  features(pixels: Tensor): Tensor;
  /** Planes `[B, 3, H, W]` in [−1, 1] → activations from fine to coarse. Differentiable. */
  layers(planes: Tensor): FeatureLayer[];
}

/** Keeps the norm of a position where all channels are zero from being zero, as the LPIPS package does. */
const SMALLEST_NORM = 1e-10;

/**
 * How different two images look to a network (Zhang et al. 2018, eq. 1): at each layer, channels are normalized to unit length
 * at every position, and the weighted squared difference is averaged over positions; the layers add up.
 *
 * It is LPIPS with the network `vgg16-lpips` and official weights, and bears the network's name with any other.
 *
 * @param a planes `[B, 3, H, W]` in [−1, 1]; the result is differentiable in it
 * @param b planes of the same shape; taken as a constant
 * @returns float32 `[B]`, 0 where the images are equal
 */
export function perceptualDistance(network: FeatureNetwork, a: Tensor, b: Tensor): Tensor {
  if (a.shape.join() !== b.shape.join()) {
    throw new RangeError(
      `perceptualDistance takes two batches of equal shape [B, 3, H, W], but got ${a} and ${b}; resize one of them.`,
    );
  }
  return scope(() => {
    const targets = scope(() => noGrad(() => network.layers(b)));
    // A scope for each layer: what its comparison needs is several times as large as the layer.
    const parts = network.layers(a).map(({ activation, weights }, i) =>
      scope(() => {
        const target = noGrad(() => unitChannels(targets[i]!.activation));
        const squared = unitChannels(activation).sub(target).square();
        const weighted = weights === null ? squared : squared.mul(weights.reshape([1, -1, 1, 1]));
        return weighted.sum([1]).mean([1, 2]);
      }),
    );
    return parts.reduce((sum, part) => sum.add(part));
  });
}

/** The layers of a network with channels of unit length at every position, float32 `[B, C, h, w]`. */
export function unitLayers(network: FeatureNetwork, planes: Tensor): { unit: Tensor; weights: Tensor | null }[] {
  return network.layers(planes).map(({ activation, weights }) => ({ unit: unitChannels(activation), weights }));
}

function unitChannels(activation: Tensor): Tensor {
  return scope(() => {
    // In float32: squares of bfloat16 lose the small channels.
    const x = activation.to("float32");
    return x.div(x.square().sum([1], true).sqrt().add(SMALLEST_NORM));
  });
}
