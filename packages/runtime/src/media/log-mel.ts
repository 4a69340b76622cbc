import type { AudioSpec } from "../conditions/spec.ts";
import { checkRate, resample, resampledLength } from "./resample.ts";
import { powerSpectrum } from "./spectrum.ts";
import type { Waveform } from "./wav.ts";

/** Samples a second that sounds are brought to. */
export const RATE = 16_000;
/** Samples of a window (25 ms), of the spectrum that it is filled up to, and from one window to the next (20 ms). */
const [WINDOW, SPECTRUM, HOP] = [400, 512, 320];
/** The lowest and the highest frequency of all bands, in hertz. */
const [LOWEST, HIGHEST] = [60, 7600];
/** Levels below the loudest by more are 0, in decibels. */
const RANGE = 70;

/**
 * A sound as a log-mel spectrogram: Hann windows, power spectrum, triangular bands on the mel scale (Davis & Mermelstein 1980,
 * in O'Shaughnessy's form), decibels below the loudest band. Silence at both ends is cut off. Then either windows follow each other
 * at 20 ms, what is longer than the frames is cut, and what is shorter is followed by silence; or, with `stretch`, as many windows
 * as there are frames are spread evenly over the sound.
 *
 * @returns bytes `[bands, frames]`, the lowest band first: 255 is the loudest, 0 is 70 dB below and less
 * @throws RangeError for a sampling rate that {@link resample} refuses
 */
export function logMel(sound: Waveform, { bands, frames, stretch = false }: AudioSpec): Uint8Array {
  checkRate(sound.rate);
  const heard = withoutSilence(sound);
  const length = resampledLength(heard, RATE);
  const filters = melFilters(bands);
  const hop = stretch ? Math.max(0, length - WINDOW) / Math.max(1, frames - 1) : HOP;
  const powers = new Float64Array(bands * frames);
  for (let frame = 0; frame < frames; frame++) {
    const begin = Math.round(frame * hop);
    if (begin >= length) break;
    // Of a long sound only the windows are brought to the rate.
    const window = resample(heard, RATE, begin, Math.min(WINDOW, length - begin));
    const spectrum = powerSpectrum(Float64Array.from({ length: SPECTRUM }, (_, i) => hann(i) * (window[i] ?? 0)));
    filters.forEach((filter, band) => {
      powers[band * frames + frame] = filter.reduce((sum, weight, k) => sum + weight * spectrum[k]!, 0);
    });
  }
  const loudest = powers.reduce((most, power) => Math.max(most, power), 0);
  if (loudest === 0) return new Uint8Array(bands * frames);
  return Uint8Array.from(powers, (power) => {
    const level = 10 * Math.log10(Math.max(power / loudest, 1e-12));
    return Math.round(255 * Math.max(0, 1 + level / RANGE));
  });
}

function hann(i: number): number {
  return 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW);
}

const melOf = (hertz: number) => 2595 * Math.log10(1 + hertz / 700);
const hertzOf = (mel: number) => 700 * (10 ** (mel / 2595) - 1);

/** Triangles of height 1 whose tops are equally far apart on the mel scale, over the bins of a power spectrum. */
export function melFilters(bands: number): readonly Float64Array[] {
  const [low, high] = [melOf(LOWEST), melOf(HIGHEST)];
  const corner = (i: number) => hertzOf(low + ((high - low) * i) / (bands + 1));
  return Array.from({ length: bands }, (_, band) => {
    const [left, top, right] = [corner(band), corner(band + 1), corner(band + 2)];
    return Float64Array.from({ length: SPECTRUM / 2 + 1 }, (_, bin) => {
      const hertz = (bin * RATE) / SPECTRUM;
      return Math.max(0, Math.min((hertz - left) / (top - left), (right - hertz) / (right - top)));
    });
  });
}

/** A sound is cut where it is this much quieter than its loudest sample, with some room left, in seconds. */
const [QUIET, ROOM] = [0.02, 0.01];

function withoutSilence({ samples, rate }: Waveform): Waveform {
  const floor = QUIET * samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  const isLoud = (sample: number) => Math.abs(sample) > floor;
  const [first, last] = [samples.findIndex(isLoud), samples.findLastIndex(isLoud)];
  const room = Math.round(ROOM * rate);
  return {
    samples: first < 0 ? samples.subarray(0, 0) : samples.subarray(Math.max(0, first - room), last + room),
    rate,
  };
}
