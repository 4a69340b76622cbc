import { createHash } from "node:crypto";
import type { layoutBytes } from "../../../conditions/index.ts";
import type { Random } from "../../../support/random.ts";

/** A box of a scene, in 0 … 255 of the side. */
export type SceneBox = Parameters<typeof layoutBytes>[0][number];

const ATTEMPTS = 60;

/**
 * Boxes that do not overlap. Where as many as wanted do not fit, there are fewer.
 *
 * @param propose draws a box that lies within the picture; it knows those that are placed
 */
export function placeBoxes(
  wanted: number,
  random: Random,
  propose: (random: Random, placed: number) => SceneBox,
): readonly SceneBox[] {
  const boxes: SceneBox[] = [];
  for (let attempt = 0; boxes.length < wanted && attempt < ATTEMPTS; attempt++) {
    const box = propose(random, boxes.length);
    if (boxes.every((other) => areApart(box, other))) boxes.push(box);
  }
  return boxes;
}

function areApart(a: SceneBox, b: SceneBox): boolean {
  const overlap = (from: number, length: number, other: number, otherLength: number) =>
    from < other + otherLength && other < from + length;
  return !overlap(a.left, a.width, b.left, b.width) || !overlap(a.top, a.height, b.top, b.height);
}

/** One layout in ten, whatever its look. */
export function isLayoutHeldOut(bytes: Uint8Array): boolean {
  return createHash("sha256").update(bytes).digest().readUInt32LE(0) % 10 === 0;
}
