import type { Spread } from "./summary.ts";

/** The 97.5 % quantiles of Student's t with 1, 2, … degrees of freedom. */
const QUANTILES = [
  12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281, 2.201, 2.1788, 2.1604, 2.1448, 2.1314,
  2.1199, 2.1098, 2.1009, 2.093, 2.086,
];

/** The same of any larger number of degrees: Cornish and Fisher's expansion about the normal quantile (Abramowitz & Stegun, 26.7.5). */
function quantileBeyond(degrees: number): number {
  const z = 1.959_963_985;
  const first = (z ** 3 + z) / 4;
  const second = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96;
  const third = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384;
  return z + first / degrees + second / degrees ** 2 + third / degrees ** 3;
}

/**
 * The 95 % interval of a mean by Student's t, which takes the values for independent and normal. With three seeds it is 2.5 standard
 * deviations wide to either side, so that small effects cannot be told from none.
 *
 * @returns `null` for fewer than two values
 */
export function intervalOf({ mean, deviation, count }: Spread): readonly [low: number, high: number] | null {
  if (deviation === null) return null;
  const half = ((QUANTILES[count - 2] ?? quantileBeyond(count - 1)) * deviation) / Math.sqrt(count);
  return [mean - half, mean + half];
}
