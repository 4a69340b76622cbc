/** Coefficients of Wichura's rational approximations (1988, Algorithm AS 241, PPND16), the highest power first. */
const CENTER = {
  top: [
    2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457, 13731.693765509461125,
    1971.5909503065514427, 133.14166789178437745, 3.387132872796366608,
  ],
  bottom: [
    5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867, 5394.1960214247511077,
    687.1870074920579083, 42.313330701600911252, 1,
  ],
} as const;
const MIDDLE = {
  top: [
    7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
    3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734,
  ],
  bottom: [
    1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
    0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1,
  ],
} as const;
const TAIL = {
  top: [
    2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
    0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772,
  ],
  bottom: [
    2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
    0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1,
  ],
} as const;

type Ratio = { readonly top: readonly number[]; readonly bottom: readonly number[] };

function evaluate({ top, bottom }: Ratio, x: number): number {
  let [above, below] = [0, 0];
  for (let i = 0; i < 8; i++) {
    above = above * x + top[i]!;
    below = below * x + bottom[i]!;
  }
  return above / below;
}

/**
 * The standard normal number that is exceeded with a probability.
 *
 * @param probability in (0, 1); small ones are exact to their last digits
 */
export function upperQuantile(probability: number): number {
  const offset = 0.5 - probability;
  if (Math.abs(offset) <= 0.425) return offset * evaluate(CENTER, 0.180625 - offset * offset);
  const radius = Math.sqrt(-Math.log(offset > 0 ? probability : 1 - probability));
  const distance = radius <= 5 ? evaluate(MIDDLE, radius - 1.6) : evaluate(TAIL, radius - 5);
  return offset > 0 ? distance : -distance;
}

/** From here on the continued fraction takes fewer terms than the series. */
const FAR = 2.5;

/** The probability that a standard normal number exceeds `z`, with a small relative error on both sides. */
export function upperTail(z: number): number {
  if (z < 0) return 1 - upperTail(-z);
  const density = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  if (z < FAR) {
    // Φ(z) − ½ = φ(z)·(z + z³/3 + z⁵/(3·5) + …) (Abramowitz & Stegun 1964, 26.2.11)
    let [term, sum] = [z, z];
    for (let k = 3; term > 1e-17 * sum; k += 2) {
      term *= (z * z) / k;
      sum += term;
    }
    return 0.5 - density * sum;
  }
  // φ(z)/(z + 1/(z + 2/(z + 3/(z + …)))) (26.2.14), from its end
  let tail = z;
  for (let k = 60; k >= 1; k--) tail = z + k / tail;
  return density / tail;
}
