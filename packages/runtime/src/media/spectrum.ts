/**
 * The power spectrum of a real signal: `|Σ x_n e^(−2πikn/N)|²` for `k = 0 … N/2`, by Cooley and Tukey's algorithm (1965).
 *
 * @param signal as long as a power of two
 */
export function powerSpectrum(signal: ArrayLike<number>): Float64Array {
  const length = signal.length;
  if (length < 2 || (length & (length - 1)) !== 0) {
    throw new RangeError(`powerSpectrum: expected a length that is a power of two, got ${length}.`);
  }
  const real = new Float64Array(length);
  const imaginary = new Float64Array(length);
  const bits = Math.log2(length);
  for (let i = 0; i < length; i++) real[reversed(i, bits)] = signal[i]!;
  for (let half = 1; half < length; half *= 2) {
    for (let k = 0; k < half; k++) {
      const angle = (-Math.PI * k) / half;
      const [c, s] = [Math.cos(angle), Math.sin(angle)];
      for (let at = k; at < length; at += 2 * half) {
        const other = at + half;
        const re = real[other]! * c - imaginary[other]! * s;
        const im = real[other]! * s + imaginary[other]! * c;
        real[other] = real[at]! - re;
        imaginary[other] = imaginary[at]! - im;
        real[at]! += re;
        imaginary[at]! += im;
      }
    }
  }
  return Float64Array.from({ length: length / 2 + 1 }, (_, k) => real[k]! ** 2 + imaginary[k]! ** 2);
}

/** The `bits` lowest bits of a number in the other order. */
function reversed(value: number, bits: number): number {
  let out = 0;
  for (let bit = 0; bit < bits; bit++) out = (out << 1) | ((value >> bit) & 1);
  return out;
}
