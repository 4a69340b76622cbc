import { noGrad, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import type { Random } from "../../support/random.ts";

/** The most that an image is moved, in halves of its side, and the logarithm of the most that it is stretched. */
const SHIFT = 0.1;
const STRETCH = 0.1;

/**
 * Moves and stretches each image a little, so that towers that see few images of a thing learn the thing and not the images.
 * What comes in from outside repeats the border.
 *
 * @param planes `[B, C, H, W]`
 * @returns the same shape, `channels_last`
 */
export function varied(planes: Tensor, random: Random): Tensor {
  const within = (most: number) => (2 * random() - 1) * most;
  const maps = Array.from({ length: planes.shape[0]! }, () => [
    [Math.exp(within(STRETCH)), 0, within(SHIFT)],
    [0, Math.exp(within(STRETCH)), within(SHIFT)],
  ]);
  return noGrad(() =>
    scope(() => {
      const grid = ops.aten.affine_grid_generator(tensor(maps), planes.shape, false);
      // 0: bilinear; 1: the border is repeated.
      return ops.aten.grid_sampler_2d(planes, grid, 0, 1, false).contiguous({ memory_format: "channels_last" });
    }),
  );
}
