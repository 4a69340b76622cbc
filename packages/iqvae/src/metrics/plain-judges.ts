import { ops, scope, type Tensor } from "@iqvae/torch";
import type { FeatureNetwork } from "../features/network.ts";

/** What distributions of images are compared by: a {@link FeatureNetwork}, or features that no network computes. */
export type Judge = Pick<FeatureNetwork, "name" | "dims" | "features">;

/** Features are given in tenths, so that Fréchet distances, which are squared, come times 100: of a size that can be read. */
const UNIT = 10;
const COLOR_CELLS = 8;
const GRADIENT_CELLS = 4;
const DIRECTIONS = 9;

/**
 * Mean colors of 8 × 8 cells, in [0, 1]: whether drawn pictures have the right colors in the right places together. It sees no
 * detail.
 */
export const COLORS: Judge = {
  name: "colors",
  dims: 3 * COLOR_CELLS ** 2,
  features: (pixels) =>
    scope(() => {
      const unit = pixels.to("float32").div(255 / UNIT);
      return cellMeans(unit.permute([0, 3, 1, 2]), COLOR_CELLS).flatten(1);
    }),
};

/**
 * Histograms of gradients (after Dalal & Triggs 2005, without their blocks, whose normalization would hide blur): in each of 4 × 4
 * cells the mean size of gray gradients, by nine unsigned directions. It sees edges, and how sharp they are.
 */
export const GRADIENTS: Judge = {
  name: "gradients",
  dims: DIRECTIONS * GRADIENT_CELLS ** 2,
  features: (pixels) =>
    scope(() => {
      const gray = pixels
        .to("float32")
        .mean([3])
        .div(255 / UNIT); // [B, H, W]
      const [across, down] = [slope(gray, 2), slope(gray, 1)];
      const size = across.square().add(down.square()).sqrt();
      const turn = ops.aten.atan2(down, across).div(Math.PI).remainder(1); // half turns
      const direction = turn
        .mul(DIRECTIONS)
        .floor()
        .clamp(0, DIRECTIONS - 1)
        .to("int64");
      const [B, H, W] = gray.shape as [number, number, number];
      const parted = ops.aten
        .zeros([B, DIRECTIONS, H, W], { device: gray.device })
        .scatter(1, direction.unsqueeze(1), size.unsqueeze(1));
      return cellMeans(parted, GRADIENT_CELLS).flatten(1);
    }),
};

/** Judges that no loss can have pleased, as no network is in them. */
export const PLAIN_JUDGES: readonly Judge[] = [COLORS, GRADIENTS];

/** `[B, C, H, W]` → means over the cells of a square grid, `[B, C, cells, cells]`. */
function cellMeans(planes: Tensor, cells: number): Tensor {
  return ops.aten.adaptive_avg_pool2d(planes, [cells, cells]);
}

/** Half the difference of the two neighbors along a dimension; at the border a pixel is its own neighbor. */
function slope(gray: Tensor, dim: 1 | 2): Tensor {
  const n = gray.shape[dim]!;
  const after = ops.aten.cat([gray.slice(dim, 1), gray.slice(dim, n - 1)], dim);
  const before = ops.aten.cat([gray.slice(dim, 0, 1), gray.slice(dim, 0, n - 1)], dim);
  return after.sub(before).div(2);
}
