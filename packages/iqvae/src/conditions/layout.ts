import { ops, type Tensor } from "@iqvae/torch";
import { Canvas, GLYPH_ADVANCE } from "./canvas.ts";
import { checkLength } from "./check.ts";
import type { Condition } from "./condition.ts";
import { bumps, heatMapError, isPeak, refine } from "./heat-maps.ts";
import type { LayoutSpec } from "./spec.ts";

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
  const shape = [spec.boxes, 5] as const;
  const check = (boxes: Uint8Array) => checkBoxes(boxes, spec);
  return {
    kind: "layout",
    shape,
    planes: [size, size],
    inputChannels: classes + 1,
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
    check,
    draw(boxes, side) {
      check(boxes);
      return drawBoxes(boxes, spec, side);
    },
    describe: (boxes) =>
      rowsOf(boxes)
        .map(({ label, left, top, width, height }) => {
          return `${spec.classes[label]?.name} ${left},${top} ${width}×${height}`;
        })
        .join("; "),
    fidelity: compare,
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

interface Box {
  readonly label: number;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

function rowsOf(boxes: Uint8Array): Box[] {
  return Array.from({ length: boxes.length / 5 }, (_, n) => {
    const [label = 0, left = 0, top = 0, width = 0, height = 0] = boxes.subarray(5 * n, 5 * n + 5);
    return { label: label - 1, left, top, width, height };
  }).filter(({ label }) => label >= 0);
}

/**
 * Boxes as a layout's bytes, in the order that a decoder gives them: by class, then by top, then by left.
 *
 * @param boxes `label` numbers the class from 0; the rest in 0 … 255 of the image's side
 * @throws RangeError when there are too many, or one is none
 */
export function layoutBytes(boxes: readonly Box[], spec: LayoutSpec): Uint8Array {
  if (boxes.length > spec.boxes) {
    throw new RangeError(
      `layoutBytes: ${boxes.length} boxes came, but a layout of this data set has ${spec.boxes} at most.`,
    );
  }
  const sorted = [...boxes].sort((a, b) => a.label - b.label || a.top - b.top || a.left - b.left);
  const bytes = new Uint8Array(5 * spec.boxes);
  sorted.forEach(({ label, left, top, width, height }, n) => {
    bytes.set([label + 1, left, top, width, height], 5 * n);
  });
  checkBoxes(bytes, spec);
  return bytes;
}

function checkBoxes(boxes: Uint8Array, { classes, boxes: count }: LayoutSpec): void {
  checkLength("layout", boxes, [count, 5]);
  for (let n = 0; n < count; n++) {
    const row = boxes.subarray(5 * n, 5 * n + 5);
    const [label, left, top, width, height] = [row[0]!, row[1]!, row[2]!, row[3]!, row[4]!];
    if (label === 0 && row.every((value) => value === 0)) continue;
    if (label > classes.length) {
      throw new RangeError(
        `box ${n} has the class ${label}, but there are ${classes.length}, numbered from 1; 0 is no box.`,
      );
    }
    if (label > 0 && width > 0 && height > 0 && left + width <= 255 && top + height <= 255) continue;
    throw new RangeError(
      `box ${n} is [${row.join(", ")}], but a box is [class + 1, left, top, width, height] within 255 × 255, at least 1 × 1; ` +
        "an empty row is all 0.",
    );
  }
}

function drawBoxes(boxes: Uint8Array, { classes }: LayoutSpec, side: number): Uint8Array {
  const canvas = new Canvas(side);
  const place = (share: number) => Math.min(side - 1, Math.floor((share / 255) * side));
  for (const { label, left, top, width, height } of rowsOf(boxes)) {
    const { name, color } = classes[label]!;
    canvas.frame(place(left), place(top), place(left + width), place(top + height), color);
    const letters = Math.floor((place(width) - 2) / GLYPH_ADVANCE);
    canvas.text(name.slice(0, Math.max(1, letters)), place(left) + 2, place(top) + 2, color);
  }
  return canvas.pixels;
}

/**
 * Boxes of equal classes are matched greedily, the best overlap first. `agreement`: the sum of overlaps (intersection over
 * union) over the larger number of boxes. `found`: the share of true boxes with an overlap of at least ½. `f1`: twice the
 * number of those over the number of all boxes, true ones and guessed ones.
 */
function compare(truth: Uint8Array, guess: Uint8Array): Readonly<Record<string, number>> {
  const [expected, given] = [rowsOf(truth), rowsOf(guess)];
  const pairs = expected.flatMap((a, i) =>
    given.flatMap((b, j) => (a.label === b.label ? [{ i, j, overlap: overlapOf(a, b) }] : [])),
  );
  pairs.sort((a, b) => b.overlap - a.overlap);
  const [left, right] = [new Set<number>(), new Set<number>()];
  let [sum, found] = [0, 0];
  for (const { i, j, overlap } of pairs) {
    if (left.has(i) || right.has(j)) continue;
    left.add(i);
    right.add(j);
    sum += overlap;
    found += Number(overlap >= 0.5);
  }
  const most = Math.max(expected.length, given.length);
  const all = expected.length + given.length;
  return {
    agreement: most === 0 ? 1 : sum / most,
    found: expected.length === 0 ? 1 : found / expected.length,
    f1: all === 0 ? 1 : (2 * found) / all,
  };
}

function overlapOf(a: Box, b: Box): number {
  const width = Math.min(a.left + a.width, b.left + b.width) - Math.max(a.left, b.left);
  const height = Math.min(a.top + a.height, b.top + b.height) - Math.max(a.top, b.top);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / (a.width * a.height + b.width * b.height - width * height);
}
