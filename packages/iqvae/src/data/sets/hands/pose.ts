import type { Random } from "../../../support/random.ts";
import { CHAINS, HAND_JOINTS, type HandModel, PARENTS, type Side } from "./model.ts";
import { add, compose, cross, dot, type Motion, rotation, STILL, scale, subtract, unit, type Vec3 } from "./vectors.ts";

/** How a hand is held: angles in radians, thumb first. */
export interface HandPose {
  readonly side: Side;
  readonly fingers: readonly FingerPose[];
}

export interface FingerPose {
  /** Bend of the three joints between the hand and the tip. */
  readonly bend: readonly [number, number, number];
  /** Sideways, positive toward the thumb. */
  readonly spread: number;
}

/** How far each finger is closed in poses that hands often take, thumb first; `null` leaves it to chance. */
const GESTURES: readonly (readonly (number | null)[])[] = [
  [0, 0, 0, 0, 0], // open
  [1, 1, 1, 1, 1], // fist
  [1, 0, 1, 1, 1], // pointing
  [1, 0, 0, 1, 1], // two fingers
  [0, 1, 1, 1, 1], // thumb up
  [0, 1, 1, 1, 0], // thumb and little finger
  [1, 0, 0, 0, 0], // four
  [1, 0, 1, 1, 0], // horns
  [0.55, 0.6, 0, 0, 0], // thumb meets index finger
  [null, null, null, null, null],
  [null, null, null, null, null],
  [null, null, null, null, null],
];

const DEGREES = Math.PI / 180;
/** Bend of a closed finger's joints, and of a closed thumb's. */
const CLOSED = [85, 100, 60].map((angle) => angle * DEGREES);
const CLOSED_THUMB = [35, 45, 60].map((angle) => angle * DEGREES);
/** How far fingers lean when they are spread, thumb first, positive toward the thumb. */
const FAN = [0, 9, 2, -6, -14].map((angle) => angle * DEGREES);

/** A pose drawn at random: a gesture that people make, or any, each joint a little off. */
export function drawPose(random: Random): HandPose {
  const side = random() < 0.5 ? "left" : "right";
  const gesture = GESTURES[Math.floor(random() * GESTURES.length)]!;
  const fan = random();
  const fingers = gesture.map((closed, finger) => {
    const share = closed ?? random();
    const full = finger === 0 ? CLOSED_THUMB : CLOSED;
    const joint = (index: number) => full[index]! * Math.min(1, Math.max(0, share + 0.15 * (random() - 0.5)));
    const wobble = 4 * DEGREES * (random() - 0.5);
    return {
      bend: [joint(0), joint(1), joint(2)] as const,
      // A bent finger cannot be spread.
      spread: FAN[finger]! * fan * (1 - share) + wobble,
    };
  });
  return { side, fingers };
}

/**
 * How each joint moves what hangs on it, from rest to the pose. The model's joints are a flat list, so the chains are made
 * here: a joint turns about its own place, then goes along with all joints before it.
 */
export function jointMotions(model: HandModel, pose: HandPose): readonly Motion[] {
  const { rest } = model;
  const axes = handAxes(model);
  const motions: Motion[] = [STILL];
  for (let joint = 1; joint < HAND_JOINTS.length; joint++) {
    const finger = CHAINS.findLastIndex((first) => first <= joint);
    const parent = motions[PARENTS[joint]!]!;
    const own = ownMotion(
      rest,
      joint,
      joint - CHAINS[finger]! - (finger === 0 ? 0 : 1),
      pose.fingers[finger]!,
      axes,
      finger,
    );
    motions.push(own === null ? parent : compose(parent, own));
  }
  return motions;
}

interface HandAxes {
  /** Out of the palm. */
  readonly palm: Vec3;
  /** From the index finger to the little finger. */
  readonly across: Vec3;
}

function handAxes({ rest }: HandModel): HandAxes {
  const [wrist, index, pinky, thumbTip] = [rest[0]!, rest[6]!, rest[21]!, rest[4]!];
  const normal = unit(cross(subtract(index, wrist), subtract(pinky, wrist)));
  // A relaxed thumb lies in front of the palm.
  const palm = dot(normal, subtract(thumbTip, wrist)) > 0 ? normal : scale(normal, -1);
  return { palm, across: unit(subtract(pinky, index)) };
}

/** A joint's own turn; `bone` 0 is the first that bends, below 0 and from 3 on nothing does. */
function ownMotion(
  rest: readonly Vec3[],
  joint: number,
  bone: number,
  { bend, spread }: FingerPose,
  { palm, across }: HandAxes,
  finger: number,
): Motion | null {
  const angle = bend[bone];
  const pivot = rest[joint]!;
  if (angle === undefined) return null;
  const along = unit(subtract(rest[joint + 1]!, pivot));
  // Fingers close toward the palm, the thumb across it.
  const target = finger === 0 ? unit(add(scale(palm, 0.35), across)) : palm;
  const flexion = rotation(cross(along, target), angle, pivot);
  if (bone > 0) return flexion;
  return compose(rotation(cross(along, scale(across, -1)), spread, pivot), flexion);
}
