/** A filter of second order: `y_n = b0 x_n + b1 x_(n−1) + b2 x_(n−2) − a1 y_(n−1) − a2 y_(n−2)`. */
export interface Biquad {
  readonly b: readonly [number, number, number];
  readonly a: readonly [number, number];
}

/**
 * Raises or lowers what is around a frequency (Bristow-Johnson's cookbook for equalizers).
 *
 * @param frequency as a share of the sampling rate
 * @param gain in decibels, at the frequency
 * @param quality its reciprocal is the width
 */
export function peaking(frequency: number, gain: number, quality: number): Biquad {
  const [cosine, alpha] = [Math.cos(2 * Math.PI * frequency), Math.sin(2 * Math.PI * frequency) / (2 * quality)];
  const amplitude = 10 ** (gain / 40);
  const a0 = 1 + alpha / amplitude;
  return {
    b: [(1 + alpha * amplitude) / a0, (-2 * cosine) / a0, (1 - alpha * amplitude) / a0],
    a: [(-2 * cosine) / a0, (1 - alpha / amplitude) / a0],
  };
}

/** Lets through what is below a frequency, a share of the sampling rate; without a peak (Butterworth's). */
export function lowPass(frequency: number): Biquad {
  const [cosine, alpha] = [Math.cos(2 * Math.PI * frequency), Math.sin(2 * Math.PI * frequency) / Math.SQRT2];
  const a0 = 1 + alpha;
  const b = (1 - cosine) / (2 * a0);
  return { b: [b, 2 * b, b], a: [(-2 * cosine) / a0, (1 - alpha) / a0] };
}

export function filtered(samples: Float32Array, { b: [b0, b1, b2], a: [a1, a2] }: Biquad): Float32Array {
  const out = new Float32Array(samples.length);
  let [x1, x2, y1, y2] = [0, 0, 0, 0];
  for (let i = 0; i < samples.length; i++) {
    const x = samples[i]!;
    const y = b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2;
    [x2, x1, y2, y1] = [x1, x, y1, y];
    out[i] = y;
  }
  return out;
}
