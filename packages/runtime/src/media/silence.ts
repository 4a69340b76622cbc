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
/**
 * Steps of silence that part a sound, and how long a part must be beside the longest one: the button that ends a recording clicks
 * after a pause, and would leave the word a third of the frames.
 */
const [PAUSE, SHARE] = [30, 1 / 4];
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
  const parts = partsOf(levels, threshold);
  if (parts.length === 0) return { samples: samples.subarray(0, 0), rate };
  const [first, last] = [parts[0]!.first, parts.at(-1)!.last];
  const room = Math.round(ROOM * rate);
  return {
    samples: samples.subarray(Math.max(0, first * step - room), (last + 1) * step + room),
    rate,
  };
}

/** Where it is loud, from the first step of each part to the last; clicks are left out. */
function partsOf(levels: Float64Array, threshold: number) {
  const parts: { first: number; last: number; loud: number }[] = [];
  levels.forEach((level, i) => {
    if (level <= threshold) return;
    const part = parts.at(-1);
    if (part === undefined || i - part.last > PAUSE) parts.push({ first: i, last: i, loud: 1 });
    else Object.assign(part, { last: i, loud: part.loud + 1 });
  });
  const longest = parts.reduce((most, { loud }) => Math.max(most, loud), 0);
  return parts.filter(({ loud }) => loud >= SHARE * longest);
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
