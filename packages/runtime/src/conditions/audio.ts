import { checkBytes } from "./check.ts";
import type { Condition } from "./condition.ts";
import { scaleNearest } from "./raster.ts";
import type { AudioSpec } from "./spec.ts";

/** A log-mel spectrogram `[M, F]`: one plane in [−1, 1]. */
export function audio(spec: AudioSpec): Condition {
  const shape = [spec.bands, spec.frames] as const;
  const check = (spectrogram: Uint8Array) => checkBytes("audio", spectrogram, shape);
  return {
    kind: "audio",
    shape,
    planes: shape,
    inputChannels: 1,
    planesOf: (spectrogram) => Float32Array.from(spectrogram, (level) => Math.fround(level / 127.5) - 1),
    check,
    draw(spectrogram, side) {
      check(spectrogram);
      return drawSpectrogram(spectrogram, spec, side);
    },
    describe(spectrogram) {
      const mean = spectrogram.reduce((sum, level) => sum + level, 0) / spectrogram.length / 255;
      return `${spec.bands} bands × ${spec.frames} frames, mean level ${mean.toFixed(2)}`;
    },
    fidelity: compare,
  };
}

/** Time to the right, high bands at the top; from black over violet and orange to white. */
function drawSpectrogram(spectrogram: Uint8Array, { bands, frames }: AudioSpec, side: number): Uint8Array {
  const pixels = new Uint8Array(bands * frames * 3);
  for (let band = 0; band < bands; band++) {
    for (let frame = 0; frame < frames; frame++) {
      const level = spectrogram[band * frames + frame]! / 255;
      const ramp = (from: number) => Math.round(255 * Math.min(1, Math.max(0, (level - from) / 0.4)));
      pixels.set(
        [ramp(0.1), ramp(0.4), Math.round(ramp(0) * 0.5 + ramp(0.6) * 0.5)],
        3 * ((bands - 1 - band) * frames + frame),
      );
    }
  }
  return scaleNearest(pixels, bands, frames, side);
}

/** `closeness`: 1 − mean difference of levels. `correlation`: Pearson's over all bands and frames, not below 0. */
function compare(truth: Uint8Array, guess: Uint8Array): Readonly<Record<string, number>> {
  const count = truth.length;
  const mean = (values: Uint8Array) => values.reduce((sum, level) => sum + level, 0) / count;
  const [meanTruth, meanGuess] = [mean(truth), mean(guess)];
  let [apart, both, squaredTruth, squaredGuess] = [0, 0, 0, 0];
  truth.forEach((level, i) => {
    const [a, b] = [level - meanTruth, guess[i]! - meanGuess];
    apart += Math.abs(level - guess[i]!);
    both += a * b;
    squaredTruth += a * a;
    squaredGuess += b * b;
  });
  const spread = Math.sqrt(squaredTruth * squaredGuess);
  return {
    closeness: 1 - apart / count / 255,
    correlation: spread === 0 ? Number(apart === 0) : Math.max(0, both / spread),
  };
}
