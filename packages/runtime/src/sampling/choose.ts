import { gumbel } from "./noise.ts";

/** How a token is chosen from the logits. */
export interface DrawOptions {
  /** Logits are divided by it: below 1 safer, above 1 more varied. Default 1. */
  readonly temperature?: number;
  /** Only the `topK` likeliest codes are candidates; `null`, the default, allows all. */
  readonly topK?: number | null;
  /** Only the likeliest codes that together reach this probability are candidates, in `(0, 1]`. Default 1: all. */
  readonly topP?: number;
}

/** @throws RangeError naming the option, its range and what to choose instead. */
export function checkDrawOptions(options: DrawOptions): void {
  const { temperature = 1, topK = null, topP = 1 } = options;
  if (!(temperature > 0 && Number.isFinite(temperature)))
    throw new RangeError(
      `temperature must be a finite number above 0, but is ${temperature}; for the likeliest image take topK: 1`,
    );
  if (topK !== null && !(Number.isInteger(topK) && topK >= 1))
    throw new RangeError(`topK must be a whole number of at least 1, but is ${topK}; null allows all codes`);
  if (!(topP > 0 && topP <= 1))
    throw new RangeError(
      `topP must lie in (0, 1], but is ${topP}; 1 allows all codes, 0.9 leaves out the unlikely tail`,
    );
}

/** Below it float32 would overflow, and the likeliest code be one of many infinite ones; at it, no noise outweighs a difference. */
const LEAST_TEMPERATURE = 1e-30;

/**
 * Divides logits by the temperature, in place, and finds the smallest one that is a candidate: first top-k, then top-p (nucleus
 * sampling, Holtzman et al. 2020) among what is left. Codes that tie with the last candidate stay in.
 *
 * @param logits float32 `[K]`
 * @returns the least logit of a candidate; −∞ where all are
 */
export function filterLogits(logits: Float32Array, options: DrawOptions): number {
  const { topP = 1 } = options;
  const temperature = Math.fround(Math.max(options.temperature ?? 1, LEAST_TEMPERATURE));
  if (temperature !== 1) for (let i = 0; i < logits.length; i++) logits[i]! /= temperature;
  const k = Math.min(options.topK ?? logits.length, logits.length);
  if (k === logits.length && topP === 1) return -Infinity;
  return topP === 1 ? kthLargest(logits.slice(), k) : nucleusFloor(logits.slice().sort(), k, topP);
}

/** The `k`-th largest of numbers, which it reorders: Hoare's selection, where sorting would order all the codes. */
function kthLargest(numbers: Float32Array, k: number): number {
  let low = 0;
  let high = numbers.length - 1;
  while (low < high) {
    const pivot = numbers[(low + high) >> 1]!;
    let i = low;
    let j = high;
    while (i <= j) {
      while (numbers[i]! > pivot) i++;
      while (numbers[j]! < pivot) j--;
      if (i > j) break;
      const greater = numbers[j]!;
      numbers[j--] = numbers[i]!;
      numbers[i++] = greater;
    }
    if (k - 1 <= j) high = j;
    else if (k - 1 >= i) low = i;
    else break; // between both parts, all equal to the pivot
  }
  return numbers[k - 1]!;
}

/** The smallest logit of the nucleus among the `k` largest: a code is in it while those before it have not reached `topP`. */
function nucleusFloor(ascending: Float32Array, k: number, topP: number): number {
  const last = ascending.length - 1;
  const end = ascending.length - k;
  const weights = new Float64Array(k); // in descending order
  let sum = 0;
  for (let i = 0; i < k; i++) {
    weights[i] = Math.exp(ascending[last - i]! - ascending[last]!);
    sum += weights[i]!;
  }
  const reached = topP * sum;
  let before = 0;
  let at = last;
  for (; at > end; at--) {
    before += weights[last - at]!;
    if (before >= reached) break;
  }
  return ascending[at]!;
}

/**
 * One token, by the Gumbel-max trick: `argmax(ℓ + g)` is distributed as `softmax(ℓ)`.
 *
 * Not by inverting the cumulative distribution, whose every step moves with the rounding of all logits: here a rounding
 * difference changes the token only where two candidates tie, so that other orders of summation draw the same tokens.
 *
 * @param logits float32 `[K]`, overwritten
 * @param noise as `Noise.next` gives it
 */
export function chooseToken(logits: Float32Array, noise: Float64Array, options: DrawOptions): number {
  const floor = filterLogits(logits, options);
  let token = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[token]!) token = i;
  const score = (i: number) => Math.fround(logits[i]! + gumbel(noise[i]!));
  let best = score(token);
  let limit = limitOf(best);
  const likeliest = token;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    if (logit < floor || i === likeliest) continue;
    // Noise that is exceeded with probability p is at most −log p. So most codes need no logarithm, and since 1 − x + x²/2 is below e⁻ˣ
    // for negative x, no exponential either.
    const x = logit - limit;
    if ((x < 0 && noise[i]! * (1 + x * (0.5 * x - 1)) > 1) || noise[i]! > Math.exp(x)) continue;
    const value = score(i);
    if (value < best || (value === best && i > token)) continue;
    token = i;
    best = value;
    limit = limitOf(best);
  }
  return token;
}

/** What a score stays below for sure when it is less than `best` without roundings. */
function limitOf(best: number): number {
  return best - 1e-3 - 1e-6 * Math.abs(best);
}
