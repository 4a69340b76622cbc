import { halve } from "../../../media/svg.ts";
import type { Rgb } from "../../dataset.ts";
import { HAND_JOINTS, type HandModel } from "./model.ts";
import { compose, dot, type Motion, move, rotation, turn, unit, type Vec3 } from "./vectors.ts";

/** From where a hand is seen, and where in the picture it is. Angles in radians. */
export interface HandView {
  /** About the forearm: 0 shows the palm, π the back. */
  readonly yaw: number;
  /** Toward the camera and away from it. */
  readonly pitch: number;
  /** In the plane of the picture. */
  readonly roll: number;
  /** The larger side of the hand's bounding box, as a share of the picture's side. */
  readonly extent: number;
  /** Where the hand is in the room that is left, 0 … 1. */
  readonly place: readonly [number, number];
}

/** What the key points do not say. */
export interface HandLook {
  readonly skin: Rgb;
  readonly background: Rgb;
  /** Where the light comes from: x to the right, y down, z away from the camera. */
  readonly light: Vec3;
}

/** A hand in front of the camera, in shares of the picture's side, depth in meters. */
export interface PosedHand {
  readonly model: HandModel;
  /** `[V, 3]`: x, y, depth. */
  readonly vertices: Float32Array;
  /** `[V, 3]`, of length 1. */
  readonly normals: Float32Array;
  /** x, y, depth of each joint. */
  readonly joints: readonly Vec3[];
}

/** Distance of the camera, in meters. */
const DISTANCE = 0.6;

/** Moves the hand into its pose (linear blend skinning) and in front of the camera (perspective). */
export function placeHand(model: HandModel, motions: readonly Motion[], view: HandView): PosedHand {
  const facing = cameraMotion(model, view);
  const moved = motions.map((motion) => compose(facing, motion));
  const count = model.positions.length / 3;
  const vertices = new Float32Array(3 * count);
  const normals = new Float32Array(3 * count);
  for (let v = 0; v < count; v++) {
    const at = readVec(model.positions, v);
    const normal = readVec(model.normals, v);
    for (let k = 4 * v; k < 4 * v + 4; k++) {
      const weight = model.weights[k]!;
      if (weight === 0) continue;
      const motion = moved[model.joints[k]!]!;
      move(motion, at).forEach((value, i) => {
        vertices[3 * v + i]! += weight * value;
      });
      turn(motion, normal).forEach((value, i) => {
        normals[3 * v + i]! += weight * value;
      });
    }
    normals.set(unit(readVec(normals, v)), 3 * v);
  }
  const project = frame(vertices, view);
  for (let v = 0; v < count; v++) vertices.set(project(readVec(vertices, v)), 3 * v);
  const joints = HAND_JOINTS.map((_, joint) => project(move(moved[joint]!, model.rest[joint]!)));
  return { model, vertices, normals, joints };
}

function readVec(values: Float32Array, at: number): Vec3 {
  return [values[3 * at]!, values[3 * at + 1]!, values[3 * at + 2]!];
}

/** From the model's axes (fingers along −y, palm along ±x) to the camera's: x to the right, y down, z away. */
function cameraMotion({ side, rest }: HandModel, { yaw, pitch, roll }: HandView): Motion {
  // The palm looks along +x on the left hand, along −x on the right one: turned toward the camera, which is at −z.
  const toCamera = rotation([0, 1, 0], side === "left" ? Math.PI / 2 : -Math.PI / 2);
  const middle = rest[11]!;
  const center: Motion = { ...IDENTITY, shift: [-middle[0], -middle[1], -middle[2]] };
  const turns = [rotation([0, 1, 0], yaw), rotation([1, 0, 0], pitch), rotation([0, 0, 1], roll)];
  return turns.reduce((motion, next) => compose(next, motion), compose(toCamera, center));
}

const IDENTITY = rotation([0, 0, 1], 0);

/** Perspective, then scale and shift so that the hand has its extent and its place. */
function frame(vertices: Float32Array, { extent, place }: HandView): (at: Vec3) => Vec3 {
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  const flat = (at: Vec3) => [at[0] / (DISTANCE + at[2]), at[1] / (DISTANCE + at[2])] as const;
  for (let v = 0; v < vertices.length / 3; v++) {
    flat(readVec(vertices, v)).forEach((value, axis) => {
      low[axis] = Math.min(low[axis]!, value);
      high[axis] = Math.max(high[axis]!, value);
    });
  }
  const zoom = extent / Math.max(high[0]! - low[0]!, high[1]! - low[1]!);
  const corner = place.map((share, axis) => share * (1 - zoom * (high[axis]! - low[axis]!)) - zoom * low[axis]!);
  return (at) => {
    const [x, y] = flat(at);
    return [x * zoom + corner[0]!, y * zoom + corner[1]!, at[2]];
  };
}

/** Ambient light, and how much the side turned to the light gets on top. */
const AMBIENT = 0.42;
const DIFFUSE = 0.68;

/**
 * Draws a hand with a depth buffer and smooth shading.
 *
 * @returns RGB bytes `[size, size, 3]`, and the depth of what is seen `[side, side]`, infinite for the background
 */
export function renderHand(hand: PosedHand, look: HandLook, size: number): { image: Uint8Array; depth: Float32Array } {
  // Twice as large, and averaged in the end.
  const side = 2 * size;
  const pixels = new Uint8Array(side * side * 3);
  for (let at = 0; at < pixels.length; at += 3) pixels.set(look.background, at);
  const depth = new Float32Array(side * side).fill(Infinity);
  const light = unit(look.light);
  const shades = Float32Array.from({ length: hand.normals.length / 3 }, (_, v) => {
    // Half Lambert: skin scatters light around its edges.
    const facing = 0.5 + 0.5 * dot(readVec(hand.normals, v), light);
    return AMBIENT + DIFFUSE * facing * facing;
  });
  const { triangles } = hand.model;
  for (let t = 0; t < triangles.length; t += 3) {
    fillTriangle(hand.vertices, [triangles[t]!, triangles[t + 1]!, triangles[t + 2]!], shades, look.skin, side, {
      pixels,
      depth,
    });
  }
  return { image: halve(pixels, size), depth };
}

function fillTriangle(
  vertices: Float32Array,
  [a, b, c]: readonly [number, number, number],
  shades: Float32Array,
  skin: Rgb,
  side: number,
  { pixels, depth }: { pixels: Uint8Array; depth: Float32Array },
): void {
  const [ax, ay] = [vertices[3 * a]! * side, vertices[3 * a + 1]! * side];
  const [bx, by] = [vertices[3 * b]! * side, vertices[3 * b + 1]! * side];
  const [cx, cy] = [vertices[3 * c]! * side, vertices[3 * c + 1]! * side];
  const area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
  if (area === 0) return;
  const [az, bz, cz] = [vertices[3 * a + 2]!, vertices[3 * b + 2]!, vertices[3 * c + 2]!];
  const first = Math.max(0, Math.ceil(Math.min(ay, by, cy) - 0.5));
  const last = Math.min(side - 1, Math.floor(Math.max(ay, by, cy) - 0.5));
  const left = Math.max(0, Math.ceil(Math.min(ax, bx, cx) - 0.5));
  const right = Math.min(side - 1, Math.floor(Math.max(ax, bx, cx) - 0.5));
  for (let y = first; y <= last; y++) {
    for (let x = left; x <= right; x++) {
      const [px, py] = [x + 0.5, y + 0.5];
      const u = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area;
      const v = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area;
      const w = 1 - u - v;
      if (u < 0 || v < 0 || w < 0) continue;
      const z = u * az + v * bz + w * cz;
      const at = y * side + x;
      if (z >= depth[at]!) continue;
      depth[at] = z;
      const shade = u * shades[a]! + v * shades[b]! + w * shades[c]!;
      for (let channel = 0; channel < 3; channel++) pixels[3 * at + channel] = Math.min(255, skin[channel]! * shade);
    }
  }
}

/** How deep below the skin a joint lies at most, in meters: in the palm, and in a finger. */
const DEEP = { palm: 0.034, finger: 0.021 };

/**
 * The joints as key points: hidden where something else of the hand is in front.
 *
 * @returns bytes `[25, 3]` as the kind `keypoints` asks for
 */
export function keyPointsOf(hand: PosedHand, depth: Float32Array): Uint8Array {
  const side = Math.sqrt(depth.length);
  const points = new Uint8Array(hand.joints.length * 3);
  hand.joints.forEach(([x, y, z], joint) => {
    if (x < 0 || y < 0 || x >= 1 || y >= 1) return;
    const seen = depth[Math.floor(y * side) * side + Math.floor(x * side)]!;
    const inPalm = /wrist|metacarpal|finger-phalanx-proximal/.test(HAND_JOINTS[joint]!);
    if (z - seen > (inPalm ? DEEP.palm : DEEP.finger)) return;
    points.set([Math.round(x * 255), Math.round(y * 255), 1], 3 * joint);
  });
  return points;
}
