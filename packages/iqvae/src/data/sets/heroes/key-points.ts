import type { KeyPointSpec } from "../../../conditions/spec.ts";
import { HERO_CLASSES, SIDE } from "./draw.ts";

/** The key points of a hero. Hands and feet are left and right of each other in the picture: the layers do not tell whose. */
export const HERO_POINTS: KeyPointSpec = {
  kind: "keypoints",
  points: ["head", "chest", "hips", "left-hand", "right-hand", "left-foot", "right-foot"],
  bones: [
    [0, 1],
    [1, 2],
    [1, 3],
    [1, 4],
    [2, 5],
    [2, 6],
  ],
};

type Point = readonly [x: number, y: number];

/** A part of which fewer pixels are seen is hidden. */
const FEWEST = 4;

/**
 * Key points of a part map: the middle of head, chest and hips, and of each forearm and lower leg that is seen the end that is
 * farther from the chest or the hips.
 *
 * @param map `[64, 64]`
 * @returns bytes `[7, 3]` as the kind `keypoints` asks for
 */
export function keyPointsOfHero(map: Uint8Array): Uint8Array {
  const pixels = (name: string) => {
    const label = HERO_CLASSES.findIndex((one) => one.name === name);
    return [...map.keys()].filter((at) => map[at] === label);
  };
  const [head, chest, hips] = ["head", "chest", "legs"].map((name) => middle(pixels(name)));
  const anywhere = middle([...map.keys()].filter((at) => map[at] !== 0)) ?? [SIDE / 2, SIDE / 2];
  const tips = [...tipsOf(pixels("hands"), chest ?? anywhere), ...tipsOf(pixels("feet"), hips ?? anywhere)];
  const points = new Uint8Array(3 * HERO_POINTS.points.length);
  [head, chest, hips, ...tips].forEach((point, i) => {
    if (point === undefined) return;
    points.set([...point.map((value) => Math.round(((value + 0.5) / SIDE) * 255)), 1], 3 * i);
  });
  return points;
}

const pointOf = (at: number): Point => [at % SIDE, Math.floor(at / SIDE)];

function middle(pixels: readonly number[]): Point | undefined {
  if (pixels.length < FEWEST) return undefined;
  const mean = (axis: 0 | 1) => pixels.reduce((sum, at) => sum + pointOf(at)[axis], 0) / pixels.length;
  return [mean(0), mean(1)];
}

/** The far ends of the two largest pieces, the one further left first; a single one is on the side of the body it is on. */
function tipsOf(pixels: readonly number[], from: Point): readonly [Point | undefined, Point | undefined] {
  const distance = (at: number) => Math.hypot(pointOf(at)[0] - from[0], pointOf(at)[1] - from[1]);
  const [first, second] = pieces(pixels)
    .filter((piece) => piece.length >= FEWEST)
    .sort((a, b) => b.length - a.length)
    .map((piece) => pointOf(piece.reduce((far, at) => (distance(at) > distance(far) ? at : far))));
  if (first === undefined) return [undefined, undefined];
  if (second === undefined) return first[0] < from[0] ? [first, undefined] : [undefined, first];
  return first[0] <= second[0] ? [first, second] : [second, first];
}

/** Pixels that touch, corners included, belong to one piece. */
function pieces(pixels: readonly number[]): readonly (readonly number[])[] {
  const left = new Set(pixels);
  const found: number[][] = [];
  for (const start of pixels) {
    if (!left.delete(start)) continue;
    const piece = [start];
    for (const at of piece) {
      const [x, y] = pointOf(at);
      for (const [dx, dy] of NEIGHBORS) {
        const neighbor = at + dy * SIDE + dx;
        const isInside = x + dx >= 0 && x + dx < SIDE && y + dy >= 0 && y + dy < SIDE;
        if (isInside && left.delete(neighbor)) piece.push(neighbor);
      }
    }
    found.push(piece);
  }
  return found;
}

const NEIGHBORS = [-1, 0, 1].flatMap((dy) => [-1, 0, 1].map((dx) => [dx, dy] as const));
