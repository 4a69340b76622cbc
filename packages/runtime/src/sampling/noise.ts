import { Mt19937 } from "./mt19937.ts";
import { upperQuantile, upperTail } from "./normal.ts";

/** The version of the random numbers: equal seeds draw equal images as long as it is the same. */
export const NOISE_VERSION = 1;

/**
 * The random numbers of one sequence, step after step: for each code the probability that standard Gumbel noise exceeds the
 * code's noise, so small ones win. {@link gumbel} turns them into noise.
 */
export interface Noise {
  /** The numbers of the next step, in [0, 1), one a code; valid until the next call. */
  next(): Float64Array;
}

/** Version 1: MT19937, two words a number. These are the numbers behind `exponential_` of libtorch 1.13 on a CPU. */
export class NoiseStream implements Noise {
  readonly #random: Mt19937;
  readonly #numbers: Float64Array;

  constructor(seed: number, codes: number) {
    this.#random = new Mt19937(seed);
    this.#numbers = new Float64Array(codes);
  }

  next(): Float64Array {
    this.#random.fill(this.#numbers);
    return this.#numbers;
  }
}

/** Below it a probability is taken for it, so that quantiles are finite. */
const LEAST = 1e-30;

/**
 * Noise between two streams, on the great circle [O]: both are brought to standard normal numbers, mixed as
 * `cos(θ)·a + sin(θ)·b` with `θ = share·π/2`, which is standard normal again, and brought back. So the noise has Gumbel's
 * distribution for every share, and moves from the one stream to the other.
 */
export class NoiseBetween implements Noise {
  readonly #from: Noise;
  readonly #to: Noise;
  readonly #share: number;
  readonly #numbers: Float64Array;

  constructor(from: Noise, to: Noise, share: number, codes: number) {
    this.#from = from;
    this.#to = to;
    this.#share = share;
    this.#numbers = new Float64Array(codes);
  }

  next(): Float64Array {
    const [from, to] = [this.#from.next(), this.#to.next()];
    // The ends are the streams themselves, to the bit.
    if (this.#share === 0) return from;
    if (this.#share === 1) return to;
    const angle = (this.#share * Math.PI) / 2;
    const [a, b] = [Math.cos(angle), Math.sin(angle)];
    for (let i = 0; i < from.length; i++) {
      const [x, y] = [Math.max(from[i]!, LEAST), Math.max(to[i]!, LEAST)];
      this.#numbers[i] = upperTail(a * upperQuantile(x) + b * upperQuantile(y));
    }
    return this.#numbers;
  }
}

/** An exponential number of 0 would make infinite noise. */
const LEAST_EXPONENTIAL = Math.fround(1e-30);

/**
 * Standard Gumbel noise, float32, that is exceeded with a probability: `−log(−log(1 − p))`, rounded to float32 after each
 * logarithm.
 */
export function gumbel(probability: number): number {
  const exponential = Math.fround(-Math.log1p(-probability));
  return Math.fround(-Math.log(Math.max(exponential, LEAST_EXPONENTIAL)));
}
