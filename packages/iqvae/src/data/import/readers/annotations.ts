import { type KeyPointSpec, type LayoutSpec, layoutBytes } from "../../../conditions/index.ts";
import { PairProblem } from "../problems.ts";
import { cropOf } from "./pictures.ts";

interface Shape {
  readonly width: number;
  readonly height: number;
}

/** A point in pixels of the picture; `undefined` where it is hidden. */
export type Point = readonly [x: number, y: number] | undefined;

/** A box in pixels of the picture. */
export interface PixelBox {
  readonly label: number;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/**
 * Points as the bytes of a condition, for a picture that is cut to its middle. What is cut off is hidden.
 *
 * @throws PairProblem for a point outside of the picture
 */
export function pointBytes(points: readonly Point[], { points: names }: KeyPointSpec, shape: Shape): Uint8Array {
  const { left, top, side } = cropOf(shape);
  const bytes = new Uint8Array(3 * names.length);
  points.forEach((point, k) => {
    if (point === undefined) return;
    const [x, y] = point;
    if (!(x >= 0 && y >= 0 && x <= shape.width && y <= shape.height)) {
      throw new PairProblem(
        "size mismatch",
        `point ${k} (${names[k]}) lies at ${x}, ${y}, outside of the picture's ${shape.width} × ${shape.height} pixels`,
      );
    }
    const [column, row] = [(x - left) / side, (y - top) / side];
    if (column < 0 || column > 1 || row < 0 || row > 1) return;
    bytes.set([Math.round(255 * column), Math.round(255 * row), 1], 3 * k);
  });
  return bytes;
}

/** A box of which less than this share is left by the cut is left out. */
const LEAST_LEFT = 0.25;

/** Boxes within the middle of a picture, as shares of its side. */
export interface CutBox {
  readonly label: number;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Boxes cut to the middle of a picture; those of which little is left are dropped. */
export function cutBoxes(boxes: readonly PixelBox[], shape: Shape): CutBox[] {
  const crop = cropOf(shape);
  return boxes.flatMap((box) => {
    const [x0, y0] = [Math.max(box.left, crop.left), Math.max(box.top, crop.top)];
    const x1 = Math.min(box.left + box.width, crop.left + crop.side);
    const y1 = Math.min(box.top + box.height, crop.top + crop.side);
    if (x1 <= x0 || y1 <= y0 || (x1 - x0) * (y1 - y0) < LEAST_LEFT * box.width * box.height) return [];
    const share = (length: number) => length / crop.side;
    return [
      {
        label: box.label,
        left: share(x0 - crop.left),
        top: share(y0 - crop.top),
        width: share(x1 - x0),
        height: share(y1 - y0),
      },
    ];
  });
}

/** Boxes as the bytes of a condition; each is at least one of 255 parts wide and high. */
export function boxBytes(boxes: readonly CutBox[], spec: LayoutSpec): Uint8Array {
  const byte = (share: number) => Math.round(255 * share);
  return layoutBytes(
    boxes.map((box) => {
      const [left, top] = [Math.min(254, byte(box.left)), Math.min(254, byte(box.top))];
      const [right, bottom] = [byte(box.left + box.width), byte(box.top + box.height)];
      const width = Math.max(1, Math.min(255, right) - left);
      return { label: box.label, left, top, width, height: Math.max(1, Math.min(255, bottom) - top) };
    }),
    spec,
  );
}

/** Is it a finite number? JSON from elsewhere holds anything. */
export function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
