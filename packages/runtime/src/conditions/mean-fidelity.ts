import type { Condition } from "./condition.ts";

/**
 * Means over samples of {@link Condition.fidelity}, by name.
 *
 * @param truth samples `[n, …]`, one after the other
 * @param guess as many
 */
export function meanFidelity(
  { fidelity, shape }: Pick<Condition, "fidelity" | "shape">,
  truth: Uint8Array,
  guess: Uint8Array,
): Record<string, number> {
  const length = shape.reduce((product, side) => product * side, 1);
  const sums: Record<string, number> = {};
  for (let at = 0; at < truth.length; at += length) {
    const one = fidelity(truth.subarray(at, at + length), guess.subarray(at, at + length));
    for (const [name, value] of Object.entries(one)) sums[name] = (sums[name] ?? 0) + value;
  }
  return Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, (sum * length) / truth.length]));
}
