import { ops, type Tensor } from "@iqvae/torch";

/** Output channels of the convolutions between two poolings (Simonyan & Zisserman 2015, table 1, column D). */
export const BLOCKS = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
] as const;

/** Weight and bias of one 3 × 3 convolution. */
export interface Kernel {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/**
 * The convolutions of VGG-16, each followed by a rectifier.
 *
 * @param planes `[B, 3, H, W]` in the range that the kernels were trained for
 * @param blocks kernels of each block of {@link BLOCKS}
 * @param ceil whether a pooling keeps the last row and column of an odd side, as TensorFlow does and PyTorch does not
 * @returns the last activation of each block, each half as large as the one before
 */
export function vggActivations(planes: Tensor, blocks: readonly (readonly Kernel[])[], ceil: boolean): Tensor[] {
  let x = planes;
  return blocks.map((block, i) => {
    if (i > 0) x = ops.aten.max_pool2d(x, [2, 2], [2, 2], [0, 0], [1, 1], ceil);
    for (const { weight, bias } of block) {
      // In place: the way back asks for what the rectifier gives, not for what it gets.
      x = ops.aten.conv2d(x, weight, bias, [1, 1], [1, 1]).relu_();
    }
    return x;
  });
}
