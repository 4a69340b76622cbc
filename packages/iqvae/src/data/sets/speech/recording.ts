import type { Waveform } from "@iqvae/runtime";
import type { Random } from "../../../support/random.ts";
import { filtered, lowPass, peaking } from "./filters.ts";

/** All frequencies times at most this or its reciprocal: smaller and larger speakers (Jaitly & Hinton 2013). */
const SIZES = 1.25;
/** The longest pause before and after, in seconds. */
const PAUSE = 0.3;
/** Share of the recordings that are made in a room that echoes, with so many echoes. */
const [ROOMS, ECHOES] = [0.5, 16];
/** Share of the recordings with noise, and how far that is below the speech, in decibels. */
const [NOISY, LEAST, MOST] = [0.75, 10, 50];
/** The strongest peaks and dips of a microphone, in decibels, and where, in hertz. */
const [PEAK, LOWEST, HIGHEST] = [9, 150, 6000];
/** Share of the microphones that hear no high frequencies. */
const DULL = 0.15;

/**
 * A sound as anybody's microphone might have recorded it: by a speaker of another size, in a room with echoes, with noise from white
 * to brown, through a microphone that is not flat. Equal random numbers give equal samples.
 */
export function recorded({ samples, rate }: Waveform, random: Random): Waveform {
  const voice = times(samples, SIZES ** between(-1, 1, random));
  const [before, after] = [between(0, PAUSE, random), between(0, PAUSE, random)].map((pause) =>
    Math.round(pause * rate),
  );
  let sound: Float32Array = new Float32Array(before! + voice.length + after!);
  sound.set(voice, before);
  if (random() < ROOMS) sound = echoed(sound, rate, random);
  if (random() < NOISY) sound = noisy(sound, rms(voice) * 10 ** (-between(LEAST, MOST, random) / 20), random);
  return { samples: heard(sound, rate, random), rate };
}

function between(low: number, high: number, random: Random): number {
  return low + (high - low) * random();
}

/** All frequencies times a factor, as of a tape that runs faster, by cubic interpolation (Keys 1981). */
function times(samples: Float32Array, factor: number): Float32Array {
  const out = new Float32Array(Math.floor(samples.length / factor));
  for (let i = 0; i < out.length; i++) {
    const k = Math.floor(i * factor);
    const t = i * factor - k;
    const [a, b, c, d] = [samples[k - 1] ?? 0, samples[k]!, samples[k + 1] ?? 0, samples[k + 2] ?? 0];
    out[i] = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
  }
  return out;
}

/** With echoes at random times, that fall by 60 dB within 0.1 to 0.5 seconds. */
function echoed(samples: Float32Array, rate: number, random: Random): Float32Array {
  const decay = between(0.1, 0.5, random);
  const share = between(0.05, 0.3, random);
  const out = samples.slice();
  for (let echo = 0; echo < ECHOES; echo++) {
    const seconds = 0.6 * decay * random();
    const gain = (random() < 0.5 ? -share : share) * 10 ** ((-3 * seconds) / decay);
    const delay = Math.round(seconds * rate);
    for (let i = delay; i < out.length; i++) out[i]! += gain * samples[i - delay]!;
  }
  return out;
}

/** With noise of a level: white, or the lower the frequencies the louder. */
function noisy(samples: Float32Array, level: number, random: Random): Float32Array {
  const kept = random() < 0.3 ? 0 : 1 - 10 ** (-2 * random());
  let last = 0;
  const noise = Float32Array.from(samples, () => {
    last = kept * last + between(-1, 1, random);
    return last;
  });
  const scale = level / rms(noise);
  return samples.map((sample, i) => sample + scale * noise[i]!);
}

/** Through a microphone: with a tilt to low or to high frequencies, two peaks or dips, and perhaps no high frequencies. */
function heard(samples: Float32Array, rate: number, random: Random): Float32Array {
  const tilt = between(-0.5, 0.9, random);
  let out: Float32Array = samples.map((sample, i) => sample - tilt * (samples[i - 1] ?? 0));
  for (let peak = 0; peak < 2; peak++) {
    const hertz = LOWEST * (HIGHEST / LOWEST) ** random();
    out = filtered(out, peaking(hertz / rate, between(-PEAK, PEAK, random), between(0.5, 1.5, random)));
  }
  if (random() >= DULL) return out;
  const edge = lowPass(between(2500, 5500, random) / rate);
  return filtered(filtered(out, edge), edge);
}

function rms(samples: Float32Array): number {
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}
