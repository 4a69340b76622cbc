import { Canvas, GLYPH_ADVANCE } from "./canvas.ts";
import { checkBytes } from "./check.ts";
import type { Condition } from "./condition.ts";
import type { LayoutSpec } from "./spec.ts";

/** Thickness of the outlines that the encoder sees, in pixels. */
const OUTLINE = 1;

/**
 * Boxes `[N, 5]`: class + 1 (0: no box), left, top, width, height. The encoder sees each class's boxes filled, and all outlines in a
 * plane of their own.
 */
export function layout(spec: LayoutSpec, size: number): Condition {
  const classes = spec.classes.length;
  const check = (boxes: Uint8Array) => checkBoxes(boxes, spec);
  return {
    kind: "layout",
    shape: [spec.boxes, 5],
    planes: [size, size],
    inputChannels: classes + 1,
    planesOf: (boxes) => fillBoxes(rowsOf(boxes), classes, size),
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

/** Rounded to float32, in which models were trained: a share of a pixel is a difference of two places, which shows how they were rounded. */
const f32 = Math.fround;

/** How much of each pixel of a line lies between two shares of the side, in float32. */
function coverage(from: number, to: number, size: number): Float32Array {
  const [left, right] = [f32(from * size), f32(to * size)];
  return Float32Array.from({ length: size }, (_, i) =>
    Math.min(1, Math.max(0, f32(Math.min(right, i + 1) - Math.max(left, i)))),
  );
}

/** Filled boxes by class, then all outlines, `[size, size, classes + 1]`. */
function fillBoxes(boxes: readonly Box[], classes: number, size: number): Float32Array {
  const channels = classes + 1;
  const planes = new Float32Array(size * size * channels);
  for (const { label, ...box } of boxes) {
    const [left, top] = [f32(box.left / 255), f32(box.top / 255)];
    const [right, bottom] = [f32(left + f32(box.width / 255)), f32(top + f32(box.height / 255))];
    const inset = OUTLINE / size;
    const [across, down] = [coverage(left, right, size), coverage(top, bottom, size)];
    const inAcross = coverage(f32(left + inset), f32(right - inset), size);
    const inDown = coverage(f32(top + inset), f32(bottom - inset), size);
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++) {
        const at = (y * size + x) * channels;
        const whole = f32(down[y]! * across[x]!);
        planes[at + label]! += whole;
        planes[at + classes]! += f32(whole - f32(inDown[y]! * inAcross[x]!));
      }
  }
  return planes.map((value) => Math.min(1, Math.max(0, value)));
}

/** One box: the number of its class, and places in 0 … 255 of the side. */
export interface Box {
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
    const row = [label + 1, left, top, width, height];
    checkBox(row, n, spec); // before it is bytes, which would take 257 for 1
    bytes.set(row, 5 * n);
  });
  checkBoxes(bytes, spec);
  return bytes;
}

function checkBoxes(boxes: Uint8Array, spec: LayoutSpec): void {
  checkBytes("layout", boxes, [spec.boxes, 5]);
  for (let n = 0; n < spec.boxes; n++) checkBox([...boxes.subarray(5 * n, 5 * n + 5)], n, spec);
}

/** @throws RangeError when a row is not a box, and not empty either */
function checkBox(row: readonly number[], n: number, { classes }: LayoutSpec): void {
  const [label, left, top, width, height] = row as [number, number, number, number, number];
  if (row.every((value) => value === 0)) return;
  if (label > classes.length) {
    throw new RangeError(
      `box ${n} has the class ${label}, but there are ${classes.length}, numbered from 1; 0 is not a box.`,
    );
  }
  const inside = left >= 0 && top >= 0 && left + width <= 255 && top + height <= 255;
  if (label > 0 && label <= 255 && width > 0 && height > 0 && inside) return;
  throw new RangeError(
    `box ${n} is [${row.join(", ")}], but a box is [class + 1, left, top, width, height] within 255 × 255, at least 1 × 1; ` +
      "an empty row is all 0.",
  );
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
