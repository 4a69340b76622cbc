import type { Waveform } from "./wav.ts";

/** Seconds of the steps in which loudness is told. */
const STEP = 0.01;
/** What is below this many hertz is hum and rumble, not heard by the bands. */
const HUM = 100;
/** What is this much quieter than the loudest step, in amplitude, is silence. */
const QUIET = 0.02;
/** Background: as loud as the quietest tenth of the steps. What is to be kept must be this many times as loud (6 dB). */
const [BACKGROUND, ABOVE] = [0.1, 2];
/** But a sound that is loud all the time, as a held tone, is no background: what is so near to the loudest (12 dB) is kept. */
const LOUD = 0.25;
/** Seconds left around what is kept. */
const ROOM = 0.01;

/**
 * A sound without the silence at both ends, or what stands for silence there: the background noise that every microphone hears.
 * Loudness is that of 30 ms, since a single sample tells little.
 */
export function withoutSilence({ samples, rate }: Waveform): Waveform {
  const step = Math.max(1, Math.round(STEP * rate));
  const levels = levelsOf({ samples, rate }, step);
  const sorted = levels.toSorted();
  const [loudest, background] = [sorted.at(-1) ?? 0, sorted[Math.floor(BACKGROUND * (sorted.length - 1))] ?? 0];
  const threshold = Math.min(Math.max(QUIET * loudest, ABOVE * background), LOUD * loudest);
  const isLoud = (level: number) => level > threshold;
  const [first, last] = [levels.findIndex(isLoud), levels.findLastIndex(isLoud)];
  const room = Math.round(ROOM * rate);
  return {
    samples:
      first < 0 ? samples.subarray(0, 0) : samples.subarray(Math.max(0, first * step - room), (last + 1) * step + room),
    rate,
  };
}

/** Root of the mean square of each step and its neighbors, above {@link HUM}. */
function levelsOf({ samples, rate }: Waveform, step: number): Float64Array {
  const powers = new Float64Array(Math.ceil(samples.length / step));
  const kept = Math.exp((-2 * Math.PI * HUM) / rate);
  let hum = 0;
  for (let i = 0; i < samples.length; i++) {
    hum = kept * hum + (1 - kept) * samples[i]!;
    powers[Math.floor(i / step)]! += (samples[i]! - hum) ** 2 / step;
  }
  return powers.map((power, i) => Math.sqrt(((powers[i - 1] ?? power) + power + (powers[i + 1] ?? power)) / 3));
}
