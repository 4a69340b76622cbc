import { type ConditionSpec, conditionLength, layoutBytes, textBytes } from "../../src/conditions/index.ts";
import type { PairDataset, PairSplit, Rgb } from "../../src/data/index.ts";
import { seededRandom } from "../../src/support/random.ts";

/** A data set that is learned in seconds: one square of one of eight colors, somewhere on gray. */
export const SIDE = 32;
const COLORS: readonly (readonly [string, Rgb])[] = [
  ["red", [220, 20, 20]],
  ["green", [20, 170, 20]],
  ["blue", [20, 20, 220]],
  ["yellow", [230, 220, 20]],
  ["cyan", [20, 220, 220]],
  ["magenta", [220, 20, 220]],
  ["black", [10, 10, 10]],
  ["white", [250, 250, 250]],
];
const GROUND: Rgb = [128, 128, 128];
export const CLASSES = COLORS.map(([name, color]) => ({ name, color }));

interface Square {
  readonly label: number;
  /** All in pixels. */
  readonly left: number;
  readonly top: number;
  readonly side: number;
}

/** What a square's condition is, by kind. */
export const SPECS = {
  semantic: { kind: "semantic", classes: [{ name: "ground", color: GROUND }, ...CLASSES] },
  lines: { kind: "lines" },
  edges: { kind: "edges" },
  keypoints: { kind: "keypoints", points: ["top left", "bottom right"], bones: [[0, 1]] },
  layout: { kind: "layout", classes: CLASSES, boxes: 2 },
  text: { kind: "text", length: 16 },
  audio: { kind: "audio", bands: 16, frames: 16 },
} as const satisfies Record<string, ConditionSpec>;

type Kind = keyof typeof SPECS;

/** Squares with conditions of a kind; ids are `COLOR/NUMBER`. */
export function squares(kind: Kind, options: Partial<Pick<PairDataset, "name" | "key" | "facts">> = {}): PairDataset {
  const { name = "squares", key = `squares ${kind}`, facts } = options;
  return {
    name,
    key,
    size: SIDE,
    condition: SPECS[kind],
    train: split(kind, 512, "train"),
    validation: split(kind, 96, "validation"),
    licenses: [],
    ...(facts && { facts }),
    close() {},
  };
}

function split(kind: Kind, length: number, part: string): PairSplit {
  const each = Array.from({ length }, (_, i) => drawSquare(seededRandom(part, i)));
  return {
    length,
    ids: each.map(({ label }, i) => `${CLASSES[label]!.name}/${i}`),
    batch(indices) {
      const chosen = Array.from(indices, (index) => [index, each[index]!] as const);
      const bytes = conditionLength(SPECS[kind], SIDE);
      const images = new Uint8Array(chosen.length * SIDE * SIDE * 3);
      const conditions = new Uint8Array(chosen.length * bytes);
      chosen.forEach(([index, square], i) => {
        images.set(paint(square), i * SIDE * SIDE * 3);
        conditions.set(conditionOf(kind, square, seededRandom("noise", part, index)), i * bytes);
      });
      return { images, conditions };
    },
  };
}

function drawSquare(random: () => number): Square {
  const whole = (end: number) => Math.floor(random() * end);
  const side = 8 + whole(9);
  return { label: whole(COLORS.length), side, left: whole(SIDE - side), top: whole(SIDE - side) };
}

const isInside = ({ left, top, side }: Square, x: number, y: number) =>
  x >= left && x < left + side && y >= top && y < top + side;

function raster<T>(value: (x: number, y: number) => T): T[] {
  return Array.from({ length: SIDE * SIDE }, (_, i) => value(i % SIDE, Math.floor(i / SIDE)));
}

function paint(square: Square): Uint8Array {
  return Uint8Array.from(raster((x, y) => (isInside(square, x, y) ? COLORS[square.label]![1] : GROUND)).flat());
}

function conditionOf(kind: Kind, square: Square, random: () => number): Uint8Array {
  const { label, left, top, side } = square;
  const share = (pixels: number) => Math.round((pixels / SIDE) * 255);
  switch (kind) {
    case "semantic":
      return Uint8Array.from(raster((x, y) => (isInside(square, x, y) ? label + 1 : 0)));
    case "lines":
    case "edges": {
      const inner = { label, left: left + 1, top: top + 1, side: side - 2 };
      return Uint8Array.from(raster((x, y) => Number(isInside(square, x, y) && !isInside(inner, x, y))));
    }
    case "keypoints":
      return Uint8Array.of(share(left), share(top), 1, share(left + side), share(top + side), 1);
    case "layout": {
      const box = { label, left: share(left), top: share(top), width: share(side) - 1, height: share(side) - 1 };
      return layoutBytes([box], SPECS.layout);
    }
    case "text":
      return textBytes(`${["a", "one", "the"][label % 3]} ${CLASSES[label]!.name}`, SPECS.text);
    case "audio":
      // Two loud bands tell the color; the rest is noise, so that no two sounds are equal.
      return Uint8Array.from({ length: 16 * 16 }, (_, i) =>
        Math.floor(i / 32) === label ? 200 + Math.floor(random() * 56) : Math.floor(random() * 80),
      );
  }
}
