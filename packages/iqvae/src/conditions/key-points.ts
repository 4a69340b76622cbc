import { type KeyPointSpec, plainCondition } from "@iqvae/runtime";
import { ops, type Tensor } from "@iqvae/torch";
import type { Condition } from "./condition.ts";
import { bumps, heatMapError, peaks } from "./heat-maps.ts";

/**
 * Points `[K, 3]` of a body: a heat map each, ℓ2.
 *
 * The loss is the squared error of the heat maps in units of a point: 0 when all is right, the share of visible points when
 * the maps are blank.
 */
export function keyPoints(spec: KeyPointSpec, size: number): Condition {
  const count = spec.points.length;
  const toPlanes = (points: Tensor): Tensor => {
    const values = points.to("float32");
    const coordinate = (column: number) => values.select(2, column).div(255);
    return bumps(coordinate(0), coordinate(1), values.select(2, 2), size).contiguous({
      memory_format: "channels_last",
    });
  };
  return {
    ...plainCondition(spec, size),
    outputChannels: count,
    toPlanes,
    toLogits: toPlanes,
    loss(logits, points) {
      return heatMapError(logits.to("float32"), toPlanes(points)).div(count * points.shape[0]!);
    },
    fromLogits(logits) {
      const { x, y, visible } = peaks(logits);
      const bytes = [x, y].map((share) => share.mul(255).round());
      return ops.aten
        .stack([...bytes, visible.to("float32")], -1)
        .mul(visible.unsqueeze(-1))
        .to("uint8"); // [B, K, 3]
    },
  };
}
