import { ops, scope, type Tensor } from "@iqvae/torch";

/**
 * The mean colors of pictures on a grid, as features that the paired estimator can compare: the control that knows no condition.
 *
 * A one is put behind the three values, since cosines alone would see the direction of a color from gray and not how far it lies
 * from there: dark red would be as red as bright red, and gray be nothing.
 *
 * @param pictures `[B, 3, H, W]` in [−1, 1], whose sides the grid divides
 * @returns `[B, 4, h, w]` without a gradient
 */
export function meanColors(pictures: Tensor, [h, w]: readonly [number, number]): Tensor {
  return scope(() => {
    const [B, , H, W] = pictures.shape as [number, number, number, number];
    const cells = pictures
      .detach()
      .to("float32")
      .reshape([B, 3, h, H / h, w, W / w]);
    const colors = cells.mean([3, 5]);
    return ops.aten.cat([colors, ops.aten.ones_like(colors.slice(1, 0, 1))], 1);
  });
}
