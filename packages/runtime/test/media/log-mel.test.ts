import { fileURLToPath } from "node:url";
import { readSafetensors } from "@iqvae/torch";
import { expect, it } from "vitest";
import { logMel } from "../../src/index.ts";
import { melFilters, RATE } from "../../src/media/log-mel.ts";

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
