import { createHash } from "node:crypto";

/** Silhouettes that share this much of what both cover together are one pose. */
const ALIKE = 0.7;
/** One cluster in so many is held out. */
const ONE_IN = 6;

/**
 * Poses that are held out. Animations share frames, so poses of one direction whose silhouettes are alike (in any body) are joined,
 * and so are those that are alike to these; clusters go to one side whole, by the SHA-1 of their first pose's name.
 *
 * @param maps for each pose (`animation/frame/direction`) its part map in each body
 */
export function heldOutPoses(maps: ReadonlyMap<string, readonly Uint8Array[]>): ReadonlySet<string> {
  const names = [...maps.keys()].sort();
  const first = new Map<string, string>();
  for (const name of names) {
    // The clusters that the pose is alike to become one.
    const joined = new Set([...first].flatMap(([other, cluster]) => (areAlike(name, other, maps) ? [cluster] : [])));
    const [cluster = name] = [...joined].sort();
    for (const [other, its] of first) if (joined.has(its)) first.set(other, cluster);
    first.set(name, cluster);
  }
  return new Set(names.filter((name) => isHeldOut(first.get(name)!)));
}

function areAlike(a: string, b: string, maps: ReadonlyMap<string, readonly Uint8Array[]>): boolean {
  if (a.split("/")[2] !== b.split("/")[2]) return false;
  return maps.get(a)!.some((map, body) => overlap(map, maps.get(b)![body]!) >= ALIKE);
}

/** Intersection over union of what is not ground. */
function overlap(a: Uint8Array, b: Uint8Array): number {
  let [both, either] = [0, 0];
  for (let at = 0; at < a.length; at++) {
    const [inA, inB] = [a[at] !== 0, b[at] !== 0];
    if (inA && inB) both++;
    if (inA || inB) either++;
  }
  return either === 0 ? 1 : both / either;
}

function isHeldOut(cluster: string): boolean {
  return createHash("sha1").update(cluster).digest().readUInt32BE(0) % ONE_IN === 0;
}
