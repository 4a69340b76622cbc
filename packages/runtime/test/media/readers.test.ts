import { describe, expect, test } from "vitest";
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

describe("gray maps of classes with colors", () => {
  type Rgb = readonly [number, number, number];
  const spec = (...colors: readonly Rgb[]): SemanticSpec => ({
    kind: "semantic",
    classes: colors.map((color, i) => ({ name: `class ${i}`, color })),
  });
  const gray = (level: number): Rgb => [level, level, level];
  const paper = spec(gray(255), gray(0));
  const sky = spec([142, 202, 230], [58, 90, 155], gray(0));
  const read = (data: number[], bits: number, maps: SemanticSpec) =>
    labelsOf({ ...pixels(data, 1), bits }, maps, "a.png");

  test.each<[string, number[], number, SemanticSpec, number[]]>([
    ["black and white", [255, 0], 8, paper, [0, 1]],
    ["four grays", [255, 170, 85, 0], 8, spec(gray(255), gray(170), gray(85), gray(0)), [0, 1, 2, 3]],
    ["of 4 bits", [15, 1], 4, spec([1, 2, 3], gray(17), gray(255)), [2, 1]],
  ])("are painted where they cannot be numbers: %s", (_, data, bits, maps, labels) => {
    expect([...read(data, bits, maps)]).toEqual(labels);
    expect(() => read(data, bits, { ...maps, indexed: true })).toThrow(/but there are/);
  });

  test.each<[string, number[], number, SemanticSpec, RegExp]>([
    [
      "paper and ink in 1 bit",
      [1, 0],
      1,
      paper,
      /gray 0 of 1 bits, .* class 0 \(class 0\) .* class 1 \(class 1\) as a color/,
    ],
    ["all black", [0, 0], 8, sky, /gray 0 of 8 bits, .* class 0 .* class 2 .* RGB/],
    ["four grays in 2 bits", [3, 2, 1, 0], 2, spec(gray(255), gray(170), gray(85), gray(0)), /class 0 .* class 3 /],
  ])("are refused where they may be both: %s", (_, data, bits, maps, message) => {
    expect(() => read(data, bits, maps)).toThrow(message);
    expect([...read(data, bits, { ...maps, indexed: true })]).toEqual(data);
  });

  test("are numbers in the official colors of public sets", () => {
    const rest = (count: number) => Array.from({ length: count }, (_, i): Rgb => [i, 1, 2]);
    const voc = spec(gray(0), ...rest(6), gray(128), ...rest(13));
    const ade20k = spec(gray(0), gray(120), ...rest(149));
    const cityscapes = spec(...Array(5).fill(gray(0)), ...rest(12), gray(153), ...rest(16));
    for (const [maps, count] of [
      [voc, 21],
      [ade20k, 151],
      [cityscapes, 34],
      [sky, 3],
      [paper, 2],
    ] as const) {
      const labels = Array.from({ length: count }, (_, i) => i);
      expect([...read(labels, 8, maps)]).toEqual(labels);
    }
    for (const maps of [voc, ade20k, cityscapes, spec(gray(0), gray(255))])
      expect([...read([0, 0], 8, maps)]).toEqual([0, 0]);
    expect([...read([0, 1], 1, spec(gray(0), gray(255)))]).toEqual([0, 1]);
  });
});

test("gray numbers that a program saved in fewer bits are refused where they may be others", () => {
  const maps: SemanticSpec = { kind: "semantic", classes: Array(151).fill(classes[0]), indexed: true };
  const read = (data: number[], bits: number) => labelsOf({ ...pixels(data, 1), bits }, maps, "a.png");
  expect(() => read([0, 1, 3], 4)).toThrow(/gray 1 of 4 bits, .* class 1 \(sky\) .* class 17 \(sky\) .* 8 bits/);
  expect(() => read([0, 1], 2)).toThrow(/class 85 /);
  expect([...read([0, 1], 1)]).toEqual([0, 1]);
  expect([...read([0, 9], 4)]).toEqual([0, 9]);
  expect([...read([0, 0], 4)]).toEqual([0, 0]);
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
