import { fileURLToPath } from "node:url";
import { readSafetensors } from "@iqvae/torch";
import { describe, expect, it } from "vitest";
import { logMel } from "../../src/index.ts";
import { melFilters, RATE } from "../../src/media/log-mel.ts";
import { withoutSilence } from "../../src/media/silence.ts";

/** Written by tools/goldens_log_mel.py with librosa. */
const { tensors } = readSafetensors(
  fileURLToPath(new URL("../../../iqvae/test/goldens/log-mel.safetensors", import.meta.url)),
);
const golden = (name: string) => tensors.get(name)!;

it("the bands are those of librosa with HTK's scale and no normalization", () => {
  const expected = golden("filters");
  const [bands, bins] = expected.shape as [number, number];
  const got = melFilters(bands);
  expect(got.map((filter) => filter.length)).toEqual(Array(bands).fill(bins));
  const differences = expected
    .read("float32")
    .map((weight, i) => Math.abs(weight - got[Math.floor(i / bins)]![i % bins]!));
  // The reference is kept in float32.
  expect(Math.max(...differences)).toBeLessThan(1e-7);
});

it("the levels are those of librosa to the byte, from the loudest to what is too quiet", () => {
  const expected = golden("levels");
  const [bands, frames] = expected.shape as [number, number];
  const samples = Float32Array.from(golden("sound").read("int16"), (sample) => sample / 32_768);
  const levels = expected.read("uint8");
  expect([Math.min(...levels), Math.max(...levels)]).toEqual([0, 255]);
  expect(logMel({ samples, rate: RATE }, { kind: "audio", bands, frames })).toEqual(levels);
});

describe("what stands for silence is cut off", () => {
  /** A sound that begins and ends softly, from 0.3 to 0.8 of 1.1 seconds. */
  const word = Float32Array.from({ length: 1.1 * RATE }, (_, i) => {
    const place = (i / RATE - 0.3) / 0.5;
    return place < 0 || place > 1 ? 0 : Math.sin(Math.PI * place) ** 0.5 * Math.sin((2 * Math.PI * 700 * i) / RATE);
  });
  /** Even numbers between −1 and 1, by a linear congruence. */
  const noise = (length: number) => {
    let state = 1;
    return Float32Array.from({ length }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 31 - 1;
    });
  };
  /** Seconds at which what is kept of a sound begins and ends. */
  const kept = (samples: Float32Array) => {
    const { samples: part } = withoutSilence({ samples, rate: RATE });
    const begin = (part.byteOffset - samples.byteOffset) / 4;
    return [begin / RATE, (begin + part.length) / RATE] as const;
  };

  it.each([
    ["none", () => 0],
    ["white noise at 30 dB", (i: number, white: Float32Array) => 0.03 * white[i]!],
    ["white noise at 15 dB", (i: number, white: Float32Array) => 0.18 * white[i]!],
    ["hum of 50 Hz at 12 dB", (i: number) => 0.25 * Math.sin((2 * Math.PI * 50 * i) / RATE)],
  ])("background: %s", (_, background) => {
    const white = noise(word.length);
    const [begin, end] = kept(word.map((sample, i) => sample + background(i, white)));
    expect(begin).toBeGreaterThan(0.26);
    expect(begin).toBeLessThan(0.34);
    expect(end).toBeGreaterThan(0.76);
    expect(end).toBeLessThan(0.84);
  });

  it("and clicks after a pause, but no second word", () => {
    const followed = (seconds: number) => {
      const sound = new Float32Array(2 * word.length);
      sound.set(word);
      return sound.fill(1, 1.5 * RATE, (1.5 + seconds) * RATE).map((sample, i) => (i % 2 === 0 ? sample : -sample));
    };
    expect(kept(followed(0.01))[1]).toBeLessThan(0.84);
    expect(kept(followed(0.3))[1]).toBeCloseTo(1.8, 1);
  });

  it("nothing of a sound that is as loud all the time", () => {
    const tone = Float32Array.from({ length: RATE }, (_, i) => Math.sin(i));
    expect(kept(tone)).toEqual([0, 1]);
    expect(kept(noise(RATE))).toEqual([0, 1]);
    expect(kept(tone.subarray(0, 7))).toEqual([0, 7 / RATE]);
  });
});
