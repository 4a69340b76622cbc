import { sha256 } from "./sha256.ts";

/**
 * The seed of one image: decided by the user's seed, the condition's tokens and the number of the sample, nothing else. Noise
 * that conditions share has no `condition`.
 *
 * @returns a whole number of 32 bits
 */
export function sampleSeed(seed: number, condition: ArrayLike<number>, sample: number): number {
  const digest = sha256(new TextEncoder().encode(`${seed} ${sample} ${Array.from(condition).join(" ")}`));
  return new DataView(digest.buffer).getUint32(0, true);
}
