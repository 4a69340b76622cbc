import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { logMel } from "@iqvae/runtime";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { melFilters, RATE } from "../../../../runtime/src/media/log-mel.ts";
import { powerSpectrum } from "../../../../runtime/src/media/spectrum.ts";
import type { AudioSpec } from "../../../src/conditions/spec.ts";
import { openDataset, SPEECH } from "../../../src/data/index.ts";
import { speak, VOICES } from "../../../src/data/sets/speech/flite.ts";
import { speechRecipe } from "../../../src/data/sets/speech/recipe.ts";

describe("powerSpectrum", () => {
  it("is the discrete Fourier transform, term by term", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(2, 8, 32),
        fc.infiniteStream(fc.double({ min: -1, max: 1, noNaN: true })),
        (length, stream) => {
          const signal = Array.from({ length }, () => stream.next().value as number);
          const got = powerSpectrum(signal);
          expect(got.length).toBe(length / 2 + 1);
          got.forEach((power, k) => {
            const term = (wave: (angle: number) => number) =>
              signal.reduce((sum, x, n) => sum + x * wave((2 * Math.PI * k * n) / length), 0);
            expect(power).toBeCloseTo(term(Math.cos) ** 2 + term(Math.sin) ** 2, 9);
          });
        },
      ),
      { numRuns: 30 },
    );
  });

  it("refuses other lengths", () => {
    expect(() => powerSpectrum([1, 2, 3])).toThrow("powerSpectrum: expected a length that is a power of two, got 3.");
  });
});

/** Frames of 20 ms, whatever the length of the sound. */
const SPACED = { kind: "audio", bands: SPEECH.bands, frames: SPEECH.frames } as const;

describe("logMel", () => {
  const tone = (hertz: number, seconds: number, rate = RATE) => ({
    samples: Float32Array.from(
      { length: Math.round(seconds * rate) },
      (_, i) => 0.3 * Math.sin((2 * Math.PI * hertz * i) / rate),
    ),
    rate,
  });
  const loudestBand = (bytes: Uint8Array, frame: number) => {
    const column = Array.from({ length: SPEECH.bands }, (_, band) => bytes[band * SPEECH.frames + frame]!);
    return column.indexOf(Math.max(...column));
  };

  it("puts a tone into the band whose triangle weighs it most, whatever the sampling rate", () => {
    for (const hertz of [200, 440, 1000, 2500, 6000]) {
      const filters = melFilters(SPEECH.bands);
      const bin = Math.round((hertz * 512) / RATE);
      const weights = filters.map((filter) => filter[bin]!);
      const band = weights.indexOf(Math.max(...weights));
      for (const rate of [RATE, 22_050, 44_100]) {
        expect(
          Math.abs(loudestBand(logMel(tone(hertz, 0.5, rate), SPACED), 5) - band),
          `${hertz} at ${rate}`,
        ).toBeLessThanOrEqual(rate === RATE ? 0 : 1);
      }
    }
  });

  it("does not depend on loudness, and tells 10 dB by 255/7 steps", () => {
    const sound = tone(440, 0.5);
    const quiet = { ...sound, samples: sound.samples.map((sample) => sample / 16) };
    expect(logMel(quiet, SPACED)).toEqual(logMel(sound, SPACED));
    const fading = {
      ...sound,
      samples: sound.samples.map((sample, i) => (i < 4000 ? sample : sample * Math.sqrt(0.1))),
    };
    const bytes = logMel(fading, SPACED);
    const band = loudestBand(bytes, 3);
    expect(bytes[band * SPEECH.frames + 3]! - bytes[band * SPEECH.frames + 18]!).toBeCloseTo(255 / 7, -0.5);
  });

  it("cuts silence at both ends and follows with silence", () => {
    const { samples } = tone(440, 0.3);
    const late = new Float32Array(samples.length + 8000);
    late.set(samples, 5000);
    const bytes = logMel({ samples: late, rate: RATE }, SPACED);
    expect(loudestBand(bytes, 1)).toBe(loudestBand(logMel({ samples, rate: RATE }, SPACED), 1));
    for (let band = 0; band < SPEECH.bands; band++) expect(bytes[band * SPEECH.frames + 30]).toBe(0);
    expect(logMel({ samples: new Float32Array(4000), rate: RATE }, SPACED).every((level) => level === 0)).toBe(true);
    expect(logMel({ samples: new Float32Array(0), rate: RATE }, SPACED).length).toBe(2048);
  });

  it("spreads the frames over the whole sound on demand", async () => {
    const [fast, slow] = await Promise.all([0.85, 1.2].map((stretch) => speak("crocodile", "slt", stretch)));
    const apart = (spec: AudioSpec) => {
      const [a, b] = [logMel(fast!, spec), logMel(slow!, spec)];
      return a.reduce((sum, level, i) => sum + Math.abs(level - b[i]!), 0) / a.length;
    };
    expect(apart(SPEECH)).toBeLessThan(apart(SPACED) / 2);
    // The last frame is the end of the sound, not silence; and what is shorter than a window fills all frames alike.
    const { samples } = tone(440, 0.3);
    const rising = { samples: samples.map((sample, i) => (sample * i) / samples.length), rate: RATE };
    expect(loudestBand(logMel(rising, SPEECH), SPEECH.frames - 1)).toBe(loudestBand(logMel(rising, SPACED), 5));
    expect(new Set(logMel({ samples: samples.subarray(0, 300), rate: RATE }, { ...SPEECH, bands: 1 })).size).toBe(1);
  });
});

describe("spoken names", () => {
  it("differ by voice and speed, and are the same every time", async () => {
    const sounds = await Promise.all(VOICES.map((voice) => speak("banana", voice, 1)));
    expect(new Set(sounds.map(({ samples }) => samples.join())).size).toBe(VOICES.length);
    expect(sounds.every(({ samples, rate }) => samples.length > rate / 4)).toBe(true);
    const slow = await speak("banana", "slt", 1.5);
    expect(slow.samples.length).toBeGreaterThan(1.2 * sounds[3]!.samples.length);
    expect(await speak("banana", "slt", 1)).toEqual(sounds[3]);
  });

  it("fit into the frames and fill more than a few", async () => {
    for (const name of ["ant", "basketball", "videocassette"]) {
      const bytes = logMel(await speak(name, "rms", 1.2), SPEECH);
      const used = Array.from({ length: SPEECH.frames }, (_, frame) => frame).filter((frame) =>
        Array.from({ length: SPEECH.bands }, (_, band) => bytes[band * SPEECH.frames + frame]!).some(
          (level) => level > 0,
        ),
      );
      expect(used.length, name).toBeGreaterThan(12);
    }
  });

  it("are paired with every drawing; held out are utterances", async () => {
    const cacheDir = await mkdtemp(join(tmpdir(), "iqvae-speech-"));
    const dataset = await openDataset({ name: "speech", condition: "audio", size: 32, count: 40, cacheDir });
    const utterances = (ids: readonly string[]) =>
      new Set(ids.map((id) => id.split("/")).map(([concept, , utterance]) => `${concept}/${utterance}`));
    const train = utterances(dataset.train.ids);
    expect(dataset.validation.length).toBeGreaterThan(0);
    expect([...utterances(dataset.validation.ids)].filter((one) => train.has(one))).toEqual([]);
    expect(dataset.licenses.map(({ license }) => license)).toContain("BSD-4-Clause");
    expect(dataset.train.batch([0]).conditions.length).toBe(2048);
    dataset.close();
    await rm(cacheDir, { recursive: true });
  });

  it("come at three pitches, of one length", async () => {
    const { entries, draw } = await speechRecipe({ size: 32, count: Number.POSITIVE_INFINITY }).prepare();
    const { bands, frames } = SPEECH;
    const heard = async (voice: string, pitch: number) =>
      (await draw(entries.findIndex(({ id }) => id === `banana/noto/${voice}-1-${pitch}`)))!.condition;
    /** Mean difference when the second is moved down by some bands. */
    const apart = (low: Uint8Array, high: Uint8Array, moved: number) => {
      const pairs = Array.from(low.subarray(0, (bands - 4) * frames), (level, i) => [level, high[i + moved * frames]!]);
      return pairs.reduce((sum, [a, b]) => sum + Math.abs(a! - b!), 0) / pairs.length;
    };
    for (const voice of VOICES) {
      const [low, own, high] = [await heard(voice, 0.9), await heard(voice, 1), await heard(voice, 1.1)];
      expect(low).not.toEqual(own);
      const moves = [0, 1, 2, 3].map((moved) => apart(low, high, moved));
      expect(moves.indexOf(Math.min(...moves)), voice).toBeGreaterThan(0);
      for (const each of [low, own, high])
        expect(
          Array.from({ length: frames }, (_, i) => each[12 * frames + i]!).filter((level) => level > 0).length,
          voice,
        ).toBeGreaterThan(frames * 0.9);
    }
  });
});
