import { buffer, scope, type Tensor, tensor } from "@iqvae/torch";
import { toUnitRange } from "../models/iqvae.ts";
import type { FeatureLayer, FeatureNetwork } from "./network.ts";
import { isOfficial } from "./official.ts";
import { BLOCKS, vggActivations } from "./vgg-trunk.ts";
import { type FixedWeights, readWeights } from "./weights.ts";

/** Mean and spread of ImageNet for inputs in [−1, 1], as the LPIPS package has them. */
const SHIFT = [-0.03, -0.088, -0.188];
const SCALE = [0.458, 0.448, 0.45];

/** A convolution by torchvision's number, which counts activations and poolings too. */
interface Convolution {
  readonly number: number;
  readonly inputs: number;
  readonly outputs: number;
}

function layOut(): Convolution[][] {
  let number = 0;
  let inputs = 3;
  return BLOCKS.map((block) => {
    const convolutions = block.map((outputs) => {
      const made = { number, inputs, outputs };
      number += 2; // the convolution and its activation
      inputs = outputs;
      return made;
    });
    number += 1; // the pooling
    return convolutions;
  });
}

const LAYOUT = layOut();

/** Every weight by the name that torchvision (`features.0.weight`) or the LPIPS package (`lin0.model.1.weight`) gives it. */
export const VGG16_SHAPES: ReadonlyMap<string, readonly number[]> = new Map([
  ...LAYOUT.flat().flatMap(({ number, inputs, outputs }): [string, readonly number[]][] => [
    [`features.${number}.weight`, [outputs, inputs, 3, 3]],
    [`features.${number}.bias`, [outputs]],
  ]),
  ...LAYOUT.map((block, i): [string, readonly number[]] => [
    `lin${i}.model.1.weight`,
    [1, block.at(-1)!.outputs, 1, 1],
  ]),
]);

/**
 * Opens VGG-16 with the linear heads of LPIPS v0.1 (Zhang et al. 2018).
 *
 * Its perceptual distance is LPIPS. Its feature vector is the mean of the last activation over positions [O]:
 * Kynkäänniemi et al. 2019 take the second fully connected layer instead, which needs 224-pixel images and 0.5 GB.
 *
 * @param path a safetensors file of `tools/convert-weights.py vgg16-lpips`
 * @throws Error when a weight is missing or has another shape
 */
export async function openVgg16(path: string): Promise<FeatureNetwork> {
  return vgg16(await readWeights(path, VGG16_SHAPES, "vgg16-lpips"));
}

/** VGG-16 of the given weights: see {@link openVgg16}. */
export function vgg16({ tensors, metadata, digest }: FixedWeights): FeatureNetwork {
  const official = isOfficial("vgg16-lpips", metadata);
  const [shift, scale] = [SHIFT, SCALE].map((values) => buffer(() => tensor(values).reshape([1, 3, 1, 1]))) as [
    Tensor,
    Tensor,
  ];
  const heads = BLOCKS.map((_, i) => buffer(() => tensors.get(`lin${i}.model.1.weight`)!.reshape([-1])));

  const blocks = LAYOUT.map((block) =>
    block.map(({ number }) => ({
      weight: tensors.get(`features.${number}.weight`)!,
      bias: tensors.get(`features.${number}.bias`)!,
    })),
  );

  const activations = (planes: Tensor): Tensor[] => vggActivations(planes.sub(shift).div(scale), blocks, false);
  return {
    name: official ? "vgg16-lpips" : `vgg16-lpips (weights ${digest.slice(0, 8)})`,
    digest,
    dims: BLOCKS.at(-1)!.at(-1)!,
    features: (pixels) => scope(() => activations(toUnitRange(pixels)).at(-1)!.to("float32").mean([2, 3])),
    layers: (planes) => activations(planes).map((activation, i): FeatureLayer => ({ activation, weights: heads[i]! })),
  };
}
