import { type LayoutSpec, plainCondition } from "@iqvae/runtime";
import { ops, type Tensor } from "@iqvae/torch";
import type { Condition } from "./condition.ts";
import { bumps, heatMapError, isPeak, refine } from "./heat-maps.ts";

/** Weight of the error of widths and heights, in shares of the side, beside that of the centers. */
const EXTENT_WEIGHT = 4;
/** Thickness of the outlines that the encoder sees, in pixels. */
const OUTLINE = 1;

/**
 * Boxes `[N, 5]`: class + 1 (0: no box), left, top, width, height.
 *
 * The encoder sees each class's boxes filled, and all outlines in a plane of their own. The decoder gives boxes as points
 * (Zhou et al. 2019, "Objects as Points"): a heat map of centers for each class, and two planes that hold width and height
 * near a center. Of two boxes of one class whose centers share a pixel, one is found.
 */
export function layout(spec: LayoutSpec, size: number): Condition {
  const classes = spec.classes.length;
  return {
    ...plainCondition(spec, size),
    outputChannels: classes + 2,
    toPlanes: (boxes) => fillBoxes(readBoxes(boxes, classes), size),
    toLogits: (boxes) => centers(readBoxes(boxes, classes), size).planes,
    loss(logits, boxes) {
      const read = readBoxes(boxes, classes);
      const { planes, near } = centers(read, size);
      const given = logits.to("float32");
      const heat = heatMapError(given.slice(1, 0, classes), planes.slice(1, 0, classes));
      const extent = given.slice(1, classes).sub(planes.slice(1, classes)).abs().mul(near).sum();
      const count = read.present.sum().clamp_min(1);
      return heat.div(count).add(extent.div(near.sum().mul(2).clamp_min(1)), { alpha: EXTENT_WEIGHT });
    },
    fromLogits: (logits) => findBoxes(logits.to("float32"), spec, size),
  };
}

/** Boxes in shares of the side, float32 `[B, N]` each. */
interface Boxes {
  /** 1 for a box, 0 for an empty row. */
  readonly present: Tensor;
  /** `[B, N, classes]`, all 0 for an empty row. */
  readonly labels: Tensor;
  readonly left: Tensor;
  readonly top: Tensor;
  readonly width: Tensor;
  readonly height: Tensor;
}

function readBoxes(boxes: Tensor, classes: number): Boxes {
  const values = boxes.to("float32");
  const numbers = ops.aten.arange(1, classes + 1, { dtype: "float32", device: boxes.device });
  const column = (index: number) => values.select(2, index).div(255);
  const label = values.select(2, 0);
  return {
    present: label.gt(0).to("float32"),
    labels: label.unsqueeze(-1).eq(numbers).to("float32"),
    left: column(1),
    top: column(2),
    width: column(3),
    height: column(4),
  };
}

/** How much of each pixel of a line lies between `from` and `to`: `[B, N]` → `[B, N, size]`. */
function coverage(from: Tensor, to: Tensor, size: number): Tensor {
  const begin = ops.aten.arange(size, { dtype: "float32", device: from.device });
  const right = ops.aten.minimum(to.mul(size).unsqueeze(-1), begin.add(1));
  const left = ops.aten.maximum(from.mul(size).unsqueeze(-1), begin);
  return right.sub(left).clamp(0, 1);
}

/** `[B, classes + 1, size, size]`: filled boxes by class, then all outlines. */
function fillBoxes({ labels, present, left, top, width, height }: Boxes, size: number): Tensor {
  const [B, N] = present.shape as [number, number];
  const filled = (inset: number) => {
    const columns = coverage(left.add(inset), left.add(width).sub(inset), size);
    const rows = coverage(top.add(inset), top.add(height).sub(inset), size);
    return rows
      .unsqueeze(-1)
      .mul(columns.unsqueeze(-2))
      .reshape([B, N, size * size]);
  };
  const whole = filled(0);
  const outlines = whole.sub(filled(OUTLINE / size)).mul(present.unsqueeze(-1));
  const byClass = labels.transpose(1, 2).bmm(whole); // [B, classes, size²]
  const planes = ops.aten.cat([byClass, outlines.sum([1], true)], 1).clamp(0, 1);
  return planes.reshape([B, -1, size, size]).contiguous({ memory_format: "channels_last" });
}

/**
 * What a decoder should give, `planes [B, classes + 2, size, size]`, and how near each pixel is to a center, `near
 * [B, 1, size, size]`.
 */
function centers({ labels, present, left, top, width, height }: Boxes, size: number): { planes: Tensor; near: Tensor } {
  const [B, N] = present.shape as [number, number];
  const bump = bumps(left.add(width, { alpha: 0.5 }), top.add(height, { alpha: 0.5 }), present, size);
  const classes = labels.shape[2]!;
  let heat = ops.aten.zeros([B, classes, size, size], { device: present.device });
  let near = ops.aten.zeros([B, 1, size, size], { device: present.device });
  let extent = ops.aten.zeros([B, 2, size, size], { device: present.device });
  const extents = ops.aten.stack([width, height], -1); // [B, N, 2]
  // Bumps of one class are joined by their maximum: a sum would move the tops of neighbors.
  for (let n = 0; n < N; n++) {
    const one = bump.slice(1, n, n + 1); // [B, 1, size, size]
    heat = ops.aten.maximum(heat, one.mul(labels.select(1, n).reshape([B, classes, 1, 1])));
    extent = ops.aten.where(one.gt(near), extents.select(1, n).reshape([B, 2, 1, 1]), extent);
    near = ops.aten.maximum(near, one);
  }
  return { planes: ops.aten.cat([heat, extent], 1), near };
}

/** The highest tops as boxes, by class, then from top to bottom: uint8 `[B, boxes, 5]`. */
function findBoxes(logits: Tensor, { classes: names, boxes }: LayoutSpec, size: number): Tensor {
  const classes = names.length;
  const B = logits.shape[0]!;
  const heat = logits.slice(1, 0, classes).contiguous();
  // By the number of the highest pixel around, not by its height: a center between two pixels is one top, not two.
  const [, highest] = ops.aten.max_pool2d_with_indices(heat, [3, 3], [1, 1], [1, 1]);
  const own = ops.aten.arange(size * size, { device: heat.device }).reshape([size, size]);
  const flat = heat.reshape([B, -1]); // [B, classes·size²]
  const tops = heat.masked_fill(highest.ne(own), 0).reshape([B, -1]);
  const [height, at] = tops.topk(boxes, 1); // [B, boxes]
  const { x, y } = refine(flat, at, size);
  const area = size * size;
  const extent = (plane: number) => {
    const values = logits.select(1, classes + plane).reshape([B, area]);
    return values.gather(1, at.remainder(area)).mul(255).round().clamp(1, 255);
  };
  const [w, h] = [extent(0), extent(1)];
  const corner = (center: Tensor, length: Tensor) =>
    ops.aten.minimum(center.mul(255).sub(length.mul(0.5)).round().clamp_min(0), length.neg().add(255));
  const [left, top] = [corner(x, w), corner(y, h)];
  const label = at.div(area, { rounding_mode: "floor" }).add(1).to("float32");
  const rows = ops.aten.stack([label, left, top, w, h], -1).mul(isPeak(height).unsqueeze(-1)); // [B, boxes, 5]
  return rows.gather(1, canonicalOrder(rows).unsqueeze(-1).expand([-1, -1, 5])).to("uint8");
}

/** The order of rows in a layout: boxes before empty rows, by class, then by top, then by left. int64 `[B, N]`. */
function canonicalOrder(rows: Tensor): Tensor {
  const [label, left, top] = [0, 1, 2].map((column) => rows.select(2, column).to("int64")) as [Tensor, Tensor, Tensor];
  const key = label.mul(65536).add(top.mul(256)).add(left);
  return key.masked_fill(label.eq(0), 1 << 30).argsort(1);
}
