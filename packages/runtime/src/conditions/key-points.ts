import { Canvas } from "./canvas.ts";
import { checkBytes } from "./check.ts";
import type { Condition } from "./condition.ts";
import { hslColor } from "./raster.ts";
import type { KeyPointSpec, Rgb } from "./spec.ts";

/** A point counts as found within this share of the image's side (PCK, Yang & Ramanan 2013). */
const FOUND_WITHIN = 0.05;

/** Standard deviation of a bump in pixels: about 3 % of the side, so that the joints of a finger stay apart. */
export function bumpDeviation(size: number): number {
  return size / 29;
}

/** Points `[K, 3]` of a body: a heat map each (Tompson et al. 2014), a Gaussian bump of height 1. */
export function keyPoints(spec: KeyPointSpec, size: number): Condition {
  const count = spec.points.length;
  const shape = [count, 3] as const;
  const check = (points: Uint8Array): void => {
    checkBytes("keypoints", points, shape);
    for (let k = 0; k < count; k++) {
      const [x, y, visible] = points.subarray(3 * k, 3 * k + 3);
      if (visible === 1 || (visible === 0 && x === 0 && y === 0)) continue;
      throw new RangeError(
        `point ${k} (${spec.points[k]}) is [${x}, ${y}, ${visible}], but a point is [x, y, 1], or [0, 0, 0] when it is hidden.`,
      );
    }
  };
  return {
    kind: "keypoints",
    shape,
    planes: [size, size],
    inputChannels: count,
    planesOf: (points) => heatMaps(points, size),
    check,
    draw(points, side) {
      check(points);
      return drawBones(points, spec, side);
    },
    describe: (points) =>
      spec.points
        .map((name, k) => {
          const [x, y, visible] = points.subarray(3 * k, 3 * k + 3);
          return visible === 1 ? `${name} ${x},${y}` : `${name} hidden`;
        })
        .join("; "),
    fidelity: compare,
  };
}

/** One plane a point. Coordinates are shares of the side; pixel `i` of `size` has its center at `(i + ½)/size`. */
function heatMaps(points: Uint8Array, size: number): Float32Array {
  const count = points.length / 3;
  const planes = new Float32Array(size * size * count);
  const bend = -0.5 / bumpDeviation(size) ** 2;
  const profile = (at: number) =>
    Float64Array.from({ length: size }, (_, i) => Math.exp(bend * (i + 0.5 - (at / 255) * size) ** 2));
  for (let k = 0; k < count; k++) {
    if (points[3 * k + 2] === 0) continue;
    const [across, down] = [profile(points[3 * k]!), profile(points[3 * k + 1]!)];
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++) planes[(y * size + x) * count + k] = down[y]! * across[x]!;
  }
  return planes;
}

/** A color for each point, around the color wheel, so that a person tells fingers apart. */
function pointColor(k: number, count: number): Rgb {
  return hslColor((360 * k) / count, 1, 0.44);
}

function drawBones(points: Uint8Array, { bones, points: names }: KeyPointSpec, side: number): Uint8Array {
  const canvas = new Canvas(side);
  const place = (k: number) => [(points[3 * k]! / 255) * side, (points[3 * k + 1]! / 255) * side] as const;
  const visible = (k: number) => points[3 * k + 2] === 1;
  for (const [from, to] of bones) {
    if (visible(from) && visible(to)) canvas.line(place(from), place(to), pointColor(to, names.length));
  }
  for (let k = 0; k < names.length; k++) {
    if (visible(k)) canvas.disc(...place(k), Math.max(0.8, side / 60), pointColor(k, names.length));
  }
  return canvas.pixels;
}

/**
 * `visibility`: the share of points whose visibility is right. `closeness`: 1 − mean distance over points visible in both,
 * in sides of the image. `found`: the share of visible points that are seen within 5 % of the side.
 */
function compare(truth: Uint8Array, guess: Uint8Array): Readonly<Record<string, number>> {
  const count = truth.length / 3;
  let [agree, visible, both, distance, found] = [0, 0, 0, 0, 0];
  for (let at = 0; at < truth.length; at += 3) {
    const [shown, seen] = [truth[at + 2] === 1, guess[at + 2] === 1];
    agree += Number(shown === seen);
    visible += Number(shown);
    if (!shown || !seen) continue;
    const apart = Math.hypot(truth[at]! - guess[at]!, truth[at + 1]! - guess[at + 1]!) / 255;
    both++;
    distance += apart;
    found += Number(apart <= FOUND_WITHIN);
  }
  const closeness = both === 0 ? Number(visible === 0) : Math.max(0, 1 - distance / both);
  return { visibility: agree / count, closeness, found: visible === 0 ? 1 : found / visible };
}
