import { layoutBytes } from "../conditions/layout.ts";
import type { KeyPointSpec, LayoutSpec } from "../conditions/spec.ts";
import { cropOf } from "./crop.ts";
import { FileProblem } from "./file-problem.ts";

/** Of a picture, in any unit. */
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
 * @throws FileProblem for a point outside of the picture
 */
export function pointBytes(points: readonly Point[], { points: names }: KeyPointSpec, shape: Shape): Uint8Array {
  const { left, top, side } = cropOf(shape);
  const bytes = new Uint8Array(3 * names.length);
  points.forEach((point, k) => {
    if (point === undefined) return;
    const [x, y] = point;
    if (!(x >= 0 && y >= 0 && x <= shape.width && y <= shape.height)) {
      throw new FileProblem(
        "size mismatch",
        `point ${k} (${names[k]}) lies at ${x}, ${y}, outside of the picture's ${shape.width} × ${shape.height} pixels.`,
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

/**
 * Points as people write them: a list with `[x, y]` for each name, as shares of the picture's width and height, or `null` where a
 * point is hidden.
 *
 * @returns in the unit of `shape`
 * @throws FileProblem for anything else
 */
export function parsePoints(document: unknown, names: readonly string[], path: string, shape: Shape): Point[] {
  if (!Array.isArray(document) || document.length !== names.length) {
    const came = Array.isArray(document) ? `a list of ${document.length}` : "not a list";
    throw bad(`${path} must be a list of ${names.length} points (${names.join(", ")}), but is ${came}.`);
  }
  return document.map((point: unknown, k) => {
    if (point === null) return undefined;
    const [x, y] = Array.isArray(point) && point.length === 2 ? (point as unknown[]) : [];
    if (isShare(x) && isShare(y)) return [x * shape.width, y * shape.height];
    const came = JSON.stringify(point);
    throw bad(`${path}: point ${k} (${names[k]}) is ${came}, but must be [x, y] in 0 … 1 of the picture, or null.`);
  });
}

/**
 * Boxes as people write them: a list of `{ "class": name, "box": [left, top, width, height] }`, in shares of the picture's width and
 * height.
 *
 * @returns in the unit of `shape`
 * @throws FileProblem for anything else
 */
export function parseBoxes(document: unknown, { classes }: LayoutSpec, path: string, shape: Shape): PixelBox[] {
  if (!Array.isArray(document)) throw bad(`${path} must be a list of boxes.`);
  return document.map((entry: unknown, n) => {
    const { class: name, box } = (typeof entry === "object" && entry !== null ? entry : {}) as Record<string, unknown>;
    if (typeof name !== "string") throw bad(`${path}: box ${n} must be { "class": name, "box": [ … ] }.`);
    const label = classes.findIndex((known) => known.name === name);
    if (label < 0) {
      const known = classes.map((each) => each.name).slice(0, MOST_SHOWN);
      throw new FileProblem(
        "unknown class or color",
        `${path}: box ${n} has the class ${JSON.stringify(name)}; there are ${known.join(", ")}${classes.length > MOST_SHOWN ? ", …" : ""}.`,
      );
    }
    const [left, top, width, height] = Array.isArray(box) && box.length === 4 ? (box as unknown[]) : [];
    if (isShare(left) && isShare(top) && isShare(width) && isShare(height) && width > 0 && height > 0) {
      const [w, h] = [shape.width, shape.height];
      return { label, left: left * w, top: top * h, width: width * w, height: height * h };
    }
    const came = JSON.stringify(box);
    throw bad(
      `${path}: box ${n} is ${came}, but must be [left, top, width, height] in 0 … 1 of the picture, wider and higher than 0.`,
    );
  });
}

/** Classes that a message names. */
const MOST_SHOWN = 20;

function bad(reason: string): FileProblem {
  return new FileProblem("bad annotation", reason);
}

function isShare(value: unknown): value is number {
  return isNumber(value) && value >= 0 && value <= 1;
}
