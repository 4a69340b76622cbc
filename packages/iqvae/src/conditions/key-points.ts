import { ops, type Tensor } from "@iqvae/torch";
import { Canvas } from "./canvas.ts";
import { checkLength } from "./check.ts";
import type { Condition } from "./condition.ts";
import { bumps, heatMapError, peaks } from "./heat-maps.ts";
import { hslColor } from "./raster.ts";
import type { KeyPointSpec, Rgb } from "./spec.ts";

/** A point counts as found within this share of the image's side (PCK, Yang & Ramanan 2013). */
const FOUND_WITHIN = 0.05;

/**
 * Points `[K, 3]` of a body: a heat map each, ℓ2.
 *
 * The loss is the squared error of the heat maps in units of a point: 0 when all is right, the share of visible points when
 * the maps are blank.
 */
export function keyPoints(spec: KeyPointSpec, size: number): Condition {
  const count = spec.points.length;
  const shape = [count, 3] as const;
  const toPlanes = (points: Tensor): Tensor => {
    const values = points.to("float32");
    const coordinate = (column: number) => values.select(2, column).div(255);
    return bumps(coordinate(0), coordinate(1), values.select(2, 2), size).contiguous({
      memory_format: "channels_last",
    });
  };
  const check = (points: Uint8Array): void => {
    checkLength("keypoints", points, shape);
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
    outputChannels: count,
    toPlanes,
    toLogits: toPlanes,
    loss(logits, points) {
      return heatMapError(logits.to("float32"), toPlanes(points)).div(count * points.shape[0]!);
    },
    fromLogits(logits) {
      const { x, y, visible } = peaks(logits);
      const bytes = [x, y].map((share) => share.mul(255).round());
      return ops.aten
        .stack([...bytes, visible.to("float32")], -1)
        .mul(visible.unsqueeze(-1))
        .to("uint8"); // [B, K, 3]
    },
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
