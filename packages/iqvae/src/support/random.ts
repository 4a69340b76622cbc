import { createHash } from "node:crypto";

/** A source of numbers in `[0, 1)`. */
export type Random = () => number;

/**
 * A random source that is decided by its seeds alone: equal seeds give equal numbers on every machine.
 *
 * The seeds are hashed (SHA-256) into the state of `sfc32` (Chris Doty-Humphrey's small fast chaotic generator), so that
 * neighboring seeds such as `("faces", 0, 1)` and `("faces", 0, 2)` share nothing.
 */
export function seededRandom(...seeds: readonly (string | number)[]): Random {
  const digest = createHash("sha256").update(JSON.stringify(seeds)).digest();
  let a = digest.readInt32LE(0);
  let b = digest.readInt32LE(4);
  let c = digest.readInt32LE(8);
  let counter = digest.readInt32LE(12);
  return () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 4294967296;
  };
}

/** One element of `values`, each equally likely. */
export function choose<T>(values: readonly T[], random: Random): T {
  return values[Math.floor(random() * values.length)]!;
}

/** The numbers `0 … length − 1` in a random order (Fisher–Yates). */
export function permutation(length: number, random: Random): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
