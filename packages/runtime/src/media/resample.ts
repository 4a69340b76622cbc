import type { Waveform } from "./wav.ts";

/** The sampling rates that a sound may have, in hertz: half of a telephone's, and that of the fastest converters. */
export const RATES = { lowest: 4_000, highest: 384_000 } as const;

/** Reach of the filter to each side, in samples of the lower of the two rates. */
const REACH = 100;
/** Kaiser's parameter: what the filter stops is 81 dB down. */
const BETA = 8;
/** Where the filter halves an amplitude, as a share of the lower Nyquist frequency: it falls from 0.95 to 1 [O]. */
const CUTOFF = 0.975;
/** Entries of the table for one sample. Between them a straight line is off by less than −105 dB. */
const STEPS = 512;

/** Samples that a sound has at another rate: as many seconds, rounded up. */
export function resampledLength({ samples, rate: from }: Waveform, rate: number): number {
  return Math.ceil((samples.length * rate) / from);
}

/**
 * A part of a sound at another rate, by a windowed sinc (Kaiser's window; Oppenheim & Schafer, Discrete-Time Signal Processing,
 * 7.5), evaluated at the very place of each new sample, so that the ratio of the rates may be any. Frequencies above the Nyquist
 * frequency of either rate are at least 80 dB down: none of them comes back as another one. Beyond its ends a sound is silent.
 *
 * @param rate samples a second of the result
 * @param begin the first sample that is wanted, counted at the new rate
 * @param length how many; only these are computed
 * @throws RangeError when the sound's rate is not one of {@link RATES}
 */
export function resample(
  sound: Waveform,
  rate: number,
  begin = 0,
  length = resampledLength(sound, rate) - begin,
): Float32Array {
  const { samples, rate: from } = sound;
  checkRate(from);
  if (from === rate) return samples.subarray(begin, begin + length);
  const table = filter();
  const scale = Math.min(1, rate / from);
  const reach = REACH / scale;
  const out = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    const center = ((begin + i) * from) / rate;
    const last = Math.min(samples.length - 1, Math.floor(center + reach));
    let sum = 0;
    for (let k = Math.max(0, Math.ceil(center - reach)); k <= last; k++) {
      const at = Math.abs(center - k) * scale * STEPS;
      const entry = Math.floor(at);
      const weight = table[entry]! + (table[entry + 1]! - table[entry]!) * (at - entry);
      sum += weight * samples[k]!;
    }
    out[i] = sum * scale;
  }
  return out;
}

/** @throws RangeError for a rate that no sound has; a wrong one could ask for any amount of work */
export function checkRate(rate: number): void {
  if (rate >= RATES.lowest && rate <= RATES.highest) return;
  throw new RangeError(
    `a sound of ${rate} samples a second cannot be read: expected ${RATES.lowest} to ${RATES.highest}. Resample it, or correct ` +
      "the rate in its header.",
  );
}

let kept: Float64Array | undefined;

/** One side of the filter, {@link STEPS} entries a sample. */
function filter(): Float64Array {
  kept ??= Float64Array.from({ length: REACH * STEPS + 2 }, (_, i) => {
    const x = i / STEPS;
    const angle = Math.PI * CUTOFF * x;
    return CUTOFF * (i === 0 ? 1 : Math.sin(angle) / angle) * kaiser(x / REACH);
  });
  return kept;
}

/** Kaiser's window: 1 in the middle, 0 beyond `|x| = 1`. */
function kaiser(x: number): number {
  return x >= 1 ? 0 : bessel(BETA * Math.sqrt(1 - x * x)) / bessel(BETA);
}

/** The modified Bessel function of the first kind and order zero, by its power series. */
function bessel(x: number): number {
  let [sum, term] = [1, 1];
  for (let k = 1; term > 1e-17 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
