import { readFileSync } from "node:fs";
import { join } from "node:path";
import { NodeIO } from "@gltf-transform/core";
import { packageFolder } from "../../licenses.ts";
import type { Vec3 } from "./vectors.ts";

export const HAND_PACKAGE = "@webxr-input-profiles/assets";

export type Side = "left" | "right";

/** The 25 joints of WebXR Hand Input, in its order. */
export const HAND_JOINTS = [
  "wrist",
  ...["metacarpal", "phalanx-proximal", "phalanx-distal", "tip"].map((bone) => `thumb-${bone}`),
  ...["index", "middle", "ring", "pinky"].flatMap((finger) =>
    ["metacarpal", "phalanx-proximal", "phalanx-intermediate", "phalanx-distal", "tip"].map(
      (bone) => `${finger}-finger-${bone}`,
    ),
  ),
] as const;

/** The first joint of each finger's chain, thumb first; the chain goes on until the next one's. */
export const CHAINS = [1, 5, 10, 15, 20] as const;

/** The joint that each joint hangs on; the wrist hangs on itself. */
export const PARENTS: readonly number[] = HAND_JOINTS.map((_, joint) =>
  joint === 0 || (CHAINS as readonly number[]).includes(joint) ? 0 : joint - 1,
);

/** A hand at rest: flat, in meters. */
export interface HandModel {
  readonly side: Side;
  /** `[V, 3]` */
  readonly positions: Float32Array;
  /** `[V, 3]` */
  readonly normals: Float32Array;
  /** `[V, 4]`, into {@link HAND_JOINTS}, and how much each of them moves the vertex. */
  readonly joints: Uint8Array;
  readonly weights: Float32Array;
  /** `[F, 3]` vertices of each triangle. */
  readonly triangles: Uint32Array;
  /** Where the joints are at rest. */
  readonly rest: readonly Vec3[];
}

const models = new Map<Side, Promise<HandModel>>();

/** The generic hand of the WebXR input profiles; read once. */
export function handModel(side: Side): Promise<HandModel> {
  const known = models.get(side);
  if (known !== undefined) return known;
  const model = read(side);
  models.set(side, model);
  return model;
}

async function read(side: Side): Promise<HandModel> {
  const path = join(packageFolder(HAND_PACKAGE), "dist", "profiles", "generic-hand", `${side}.glb`);
  const root = (await new NodeIO().readBinary(readFileSync(path))).getRoot();
  const [primitive] = root.listMeshes()[0]!.listPrimitives();
  const array = (name: string) => primitive!.getAttribute(name)!.getArray()!;
  const nodes = root.listSkins()[0]!.listJoints();
  const places = nodes.map((node) => HAND_JOINTS.indexOf(node.getName()));
  const rest = HAND_JOINTS.map((name) => nodes.find((node) => node.getName() === name)!.getWorldTranslation() as Vec3);
  return {
    side,
    positions: Float32Array.from(array("POSITION")),
    normals: Float32Array.from(array("NORMAL")),
    joints: Uint8Array.from([...array("JOINTS_0")].map((joint) => places[joint]!)),
    weights: Float32Array.from(array("WEIGHTS_0")),
    triangles: Uint32Array.from(primitive!.getIndices()!.getArray()!),
    rest,
  };
}
