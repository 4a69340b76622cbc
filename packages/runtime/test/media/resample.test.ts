import { describe, expect, it, test } from "vitest";
import { logMel } from "../../src/index.ts";
import { melFilters, RATE } from "../../src/media/log-mel.ts";
import { resample } from "../../src/media/resample.ts";

const tone = (hertz: number, rate: number, seconds = 0.5) => ({
  samples: Float32Array.from({ length: Math.round(seconds * rate) }, (_, i) =>
    Math.sin((2 * Math.PI * hertz * i) / rate),
  ),
  rate,
});

/** Samples from the middle of a sound of half a second at 16 kHz. */
const [BEGIN, COUNT] = [3000, 1600];
const middle = (hertz: number, rate: number) => resample(tone(hertz, rate), RATE, BEGIN, COUNT);
const decibels = (samples: Float32Array) =>
  20 * Math.log10(samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0));

// The last but one is that of a voice at another pitch.
describe.each([11_025, 22_050, 44_100, 48_000, 1.1 * RATE, 383_999])("from %d hertz", (rate) => {
  test("a tone stays what it is", () => {
    for (const hertz of [440, 1000, 4000]) {
      const expected = tone(hertz, RATE).samples.subarray(BEGIN, BEGIN + COUNT);
      const apart = middle(hertz, rate).map((sample, i) => sample - expected[i]!);
      expect(decibels(apart), `${hertz} hertz`).toBeLessThan(-60);
    }
  });

  test("nothing is left of a tone above 8 kHz", () => {
    for (const hertz of [8_050, 9_000, 11_000, 15_000, 20_000, 23_900].filter((each) => each < rate / 2))
      expect(decibels(middle(hertz, rate)), `${hertz} hertz`).toBeLessThan(-75);
  });
});

it("keeps the length in seconds, and what is constant", () => {
  const sound = { samples: new Float32Array(4410).fill(0.5), rate: 44_100 };
  const samples = resample(sound, RATE);
  expect(samples).toHaveLength(1600);
  for (const sample of samples.subarray(200, -200)) expect(sample).toBeCloseTo(0.5, 4);
  expect(resample(sound, RATE, 700, 50)).toEqual(samples.subarray(700, 750));
  expect(resample({ samples: Float32Array.of(1), rate: 48_000 }, RATE)).toHaveLength(1);
});

it.each([0, 1, 3999, 384_001, Number.NaN, Number.POSITIVE_INFINITY])("refuses %d samples a second", (rate) => {
  expect(() => logMel({ samples: new Float32Array(10), rate }, { kind: "audio", bands: 8, frames: 8 })).toThrow(
    /samples a second cannot be read: expected 4000 to 384000/,
  );
});

it("computes no more of a long sound than is heard of it", () => {
  const long = { samples: new Float32Array(300 * 44_100), rate: 44_100 };
  long.samples.set(tone(1000, 44_100, 2).samples);
  long.samples[long.samples.length - 1] = 1;
  const short = { samples: long.samples.subarray(0, 3 * 44_100), rate: 44_100 };
  const spec = { kind: "audio", bands: 8, frames: 16 } as const;
  expect(logMel(long, spec)).toEqual(logMel(short, spec));
});

it("tones above 8 kHz do not show in the spectrogram of a sound of 44.1 or 48 kHz", () => {
  const spec = { kind: "audio", bands: 32, frames: 16 } as const;
  const bandOf = (hertz: number) => {
    const weights = melFilters(spec.bands).map((filter) => filter[Math.round((hertz * 512) / RATE)]!);
    return weights.indexOf(Math.max(...weights));
  };
  for (const rate of [44_100, 48_000]) {
    const high = [9_500, 12_000, 14_000].map((hertz) => tone(hertz, rate).samples);
    const sound = {
      rate,
      samples: tone(1000, rate).samples.map((sample, i) => high.reduce((sum, of) => sum + of[i]!, sample)),
    };
    const levels = logMel(sound, spec);
    // 40 dB are 40 / 70 of the scale.
    for (const folded of [6_500, 4_000, 2_000])
      expect(levels[bandOf(folded) * spec.frames + 8]! / 255).toBeLessThan(1 - 40 / 70);
    expect(levels[bandOf(1000) * spec.frames + 8]).toBe(255);
  }
});
