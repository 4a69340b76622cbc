/** Coefficients of Wichura's rational approximations (1988, Algorithm AS 241, PPND16), the highest power first. */
const CENTER = {
  top: [
    2509.0809287301227, 33430.57558358813, 67265.7709270087, 45921.95393154987, 13731.69376550946, 1971.5909503065513,
    133.14166789178438, 3.3871328727963665,
  ],
  bottom: [
    5226.495278852854, 28729.085735721943, 39307.89580009271, 21213.794301586597, 5394.196021424751, 687.1870074920579,
    42.31333070160091, 1,
  ],
} as const;
const MIDDLE = {
  top: [
    0.0007745450142783414, 0.022723844989269184, 0.2417807251774506, 1.2704582524523684, 3.6478483247632045,
    5.769497221460691, 4.630337846156546, 1.4234371107496835,
  ],
  bottom: [
    1.0507500716444169e-9, 0.0005475938084995345, 0.015198666563616457, 0.14810397642748008, 0.6897673349851,
    1.6763848301838038, 2.053191626637759, 1,
  ],
} as const;
const TAIL = {
  top: [
    2.0103343992922881e-7, 2.7115555687434876e-5, 0.0012426609473880784, 0.026532189526576124, 0.29656057182850487,
    1.7848265399172913, 5.463784911164114, 6.657904643501103,
  ],
  bottom: [
    2.0442631033899397e-15, 1.421511758316446e-7, 1.8463183175100548e-5, 0.0007868691311456133, 0.014875361290850615,
    0.1369298809227358, 0.599832206555888, 1,
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
