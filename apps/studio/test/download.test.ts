import {
  boxBytes,
  cutBoxes,
  type KeyPointSpec,
  type LayoutSpec,
  layoutBytes,
  parseBoxes,
  parsePoints,
  pointBytes,
} from "@iqvae/runtime";
import { expect, test } from "vitest";
import { boxesOf, canSave, pointsOf } from "../src/keep/download.ts";

const SHAPE = { width: 1, height: 1 };
/** As it is read from the file. */
const written = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test("points are written as they are read, in all places and hidden ones", () => {
  const spec: KeyPointSpec = { kind: "keypoints", points: Array.from({ length: 257 }, (_, k) => `${k}`), bones: [] };
  const bytes = Uint8Array.from(spec.points.flatMap((_, k) => (k === 256 ? [0, 0, 0] : [k, 255 - k, 1])));
  const points = parsePoints(written(pointsOf(bytes, spec)), spec.points, "pose.json", SHAPE);
  expect(pointBytes(points, spec, SHAPE)).toEqual(bytes);
});

test("boxes are written as they are read, in all places and widths", () => {
  const classes = ["house", "tree"].map((name) => ({ name, color: [0, 0, 0] as const }));
  const spec: LayoutSpec = { kind: "layout", classes, boxes: 600 };
  const boxes = Array.from({ length: 510 }, (_, n) => {
    const [left, top] = [n % 255, (7 * n) % 255];
    return { label: n % 2, left, top, width: 1 + (n % (255 - left)), height: 1 + (n % (255 - top)) };
  });
  const bytes = layoutBytes(boxes, spec);
  const read = parseBoxes(written(boxesOf(bytes, spec)), spec, "layout.json", SHAPE);
  expect(boxBytes(cutBoxes(read, SHAPE), spec)).toEqual(bytes);
});

test("of a sound there is nothing to save", () => {
  const kinds = ["semantic", "lines", "edges", "keypoints", "layout", "text", "audio"] as const;
  expect(kinds.filter((kind) => !canSave({ condition: { kind } } as never))).toEqual(["audio"]);
});
