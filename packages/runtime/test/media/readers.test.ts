import { expect, test } from "vitest";
import type { KeyPointSpec, LayoutSpec, SemanticSpec } from "../../src/conditions/spec.ts";
import { boxBytes, cutBoxes, parseBoxes, parsePoints, pointBytes } from "../../src/media/annotations.ts";
import { FileProblem } from "../../src/media/file-problem.ts";
import { keepNearest, labelsOf, type StoredPixels } from "../../src/media/labels.ts";
import { linesOfGray } from "../../src/media/lines.ts";

const classes = [
  { name: "sky", color: [0, 0, 255] },
  { name: "grass", color: [0, 255, 0] },
] as const;
const maps: SemanticSpec = { kind: "semantic", classes };
const pixels = (data: number[], channels: number): StoredPixels => ({
  data: Uint8Array.from(data),
  width: data.length / channels,
  height: 1,
  channels,
  bits: 8,
});

test("label maps hold numbers or the colors of the classes, and nothing else", () => {
  expect([...labelsOf(pixels([1, 0, 1], 1), maps, "a.png")]).toEqual([1, 0, 1]);
  expect([...labelsOf(pixels([0, 255, 0, 0, 0, 255], 3), maps, "a.png")]).toEqual([1, 0]);
  const read = (data: number[], channels: number) => () => labelsOf(pixels(data, channels), maps, "a.png");
  expect(read([0, 2], 1)).toThrow(FileProblem);
  expect(read([0, 2], 1)).toThrow(/a.png holds 2 at x = 1, y = 0, but there are 2 classes/);
  expect(read([0, 255, 1], 3)).toThrow(/color #00ff01 at x = 0.*#0000ff, #00ff00/);
  expect(read([0, 255, 0, 254], 4)).toThrow(/transparent/);
  expect(read([1, 255, 0, 254], 2)).toThrow(/at x = 1, y = 0, which is transparent/);
});

test("a map is cut to its middle, and keeps the nearest pixel", () => {
  const labels = Uint8Array.of(9, 1, 1, 2, 2, 9, 9, 3, 3, 4, 4, 9, 9, 5, 5, 6, 6, 9, 9, 7, 7, 8, 8, 9);
  expect([...keepNearest({ labels, width: 6, height: 4 }, 2)]).toEqual([3, 4, 7, 8]);
});

test("thin lines of a large drawing do not vanish", () => {
  const gray = Uint8Array.of(0, 127, 128, 255, 200);
  expect([...linesOfGray(gray)]).toEqual([1, 1, 0, 0, 0]);
  expect([...linesOfGray(gray, 4)]).toEqual([1, 1, 1, 0, 1]);
});

const square = { width: 1, height: 1 };

test("points are shares of the picture, or hidden", () => {
  const spec: KeyPointSpec = { kind: "keypoints", points: ["hand", "foot"], bones: [[0, 1]] };
  const read = (document: unknown) => pointBytes(parsePoints(document, spec.points, "a.json", square), spec, square);
  expect([...read([[0.5, 1], null])]).toEqual([128, 255, 1, 0, 0, 0]);
  expect(() => read([[0.5, 1]])).toThrow(/a list of 2 points \(hand, foot\), but is a list of 1/);
  expect(() => read([[0.5, 2], null])).toThrow(/point 0 \(hand\) is \[0.5,2\]/);
});

test("boxes have a class by its name, and a place in shares of the picture", () => {
  const spec: LayoutSpec = { kind: "layout", classes, boxes: 3 };
  const read = (document: unknown) => boxBytes(cutBoxes(parseBoxes(document, spec, "a.json", square), square), spec);
  const box = [0, 0.5, 1, 0.5];
  expect([...read([{ class: "grass", box }])]).toEqual([2, 0, 128, 255, 127, ...Array(10).fill(0)]);
  expect(() => read([{ class: "sea", box }])).toThrow(/the class "sea"; there are sky, grass/);
  expect(() => read([{ class: "sky", box: [0, 0, 2, 1] }])).toThrow(/box 0 is \[0,0,2,1\]/);
});
