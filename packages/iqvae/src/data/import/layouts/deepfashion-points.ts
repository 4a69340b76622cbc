import type { Point } from "@iqvae/runtime";
import { haveOneRatio } from "../../../media/picture.ts";
import { PairProblem } from "../problems.ts";
import { BODY } from "../specs.ts";

/** What begins a CSV file of key points. */
export const HEADER = "name:keypoints_y:keypoints_x";

interface Shape {
  readonly width: number;
  readonly height: number;
}

/** Pictures of the in-shop benchmark, and what the pose transfer literature keeps of them: 40 columns less on either side. */
const [WHOLE, CROP]: readonly [Shape, Shape] = [
  { width: 256, height: 256 },
  { width: 176, height: 256 },
];

/** Whether the points of a CSV file are those of crops. */
export function isResized(table: string): boolean {
  return /resize[^/]*$/i.test(table);
}

/** What the points of a CSV file lie in, where its name says so. */
function frameOf(table: string): Shape | undefined {
  if (isResized(table)) return CROP;
  return /(?:^|\/)fasion-annotation[^/]*$/i.test(table) ? WHOLE : undefined;
}

/**
 * The points of a CSV file as points of a picture. What lies outside of either is hidden.
 *
 * @returns in pixels of the picture
 * @throws PairProblem for a picture that does not show what the file's points are of
 */
export function placePoints(points: readonly Point[], table: string, picture: Shape): readonly Point[] {
  const frame = frameOf(table);
  if (frame === undefined) return points;
  const { moved, across, down } = fit(table, frame, picture);
  return points.map((point) => {
    if (point === undefined || !contains(frame, point)) return undefined;
    const placed = [(point[0] + moved) * across, point[1] * down] as const;
    return contains(picture, placed) ? placed : undefined;
  });
}

/** How a frame lies in a picture, which may be scaled, or hold what was cut off. */
function fit(table: string, frame: Shape, picture: Shape): { moved: number; across: number; down: number } {
  const { width, height } = picture;
  if (haveOneRatio(picture, frame)) return { moved: 0, across: width / frame.width, down: height / frame.height };
  const other = frame === CROP ? WHOLE : CROP;
  if (width === other.width && height === other.height)
    return { moved: (other.width - frame.width) / 2, across: 1, down: 1 };
  throw new PairProblem(
    "size mismatch",
    `it has ${width} × ${height} pixels, but ${table} needs pictures of ${frame.width} × ${frame.height}, ` +
      `scaled or not, or of ${other.width} × ${other.height}`,
  );
}

function contains({ width, height }: Shape, [x, y]: readonly [number, number]): boolean {
  return x >= 0 && y >= 0 && x <= width && y <= height;
}

/**
 * The points of a line, in pixels.
 *
 * @throws PairProblem for a line that is not `name:[y, …]:[x, …]` of as many points as a body has
 */
export function parsePoints(line: string): Point[] {
  const [, rows, columns] = line.split(":");
  const [y, x] = [rows, columns].map((text) => numbers(text));
  const count = BODY.points.length;
  if (y?.length !== count || x?.length !== count) {
    throw new PairProblem(
      "bad annotation",
      `expected ${HEADER} with two lists of ${count} whole numbers, got ${JSON.stringify(line.slice(0, 120))}`,
    );
  }
  return x.map((column, k) => (column === -1 || y[k] === -1 ? undefined : [column, y[k]!]));
}

function numbers(text: string | undefined): number[] | undefined {
  if (text === undefined || !/^\s*\[[-\d,\s.]*\]\s*$/.test(text)) return undefined;
  const parts = text.trim().slice(1, -1).split(",").map(Number);
  return parts.every(Number.isFinite) ? parts : undefined;
}
