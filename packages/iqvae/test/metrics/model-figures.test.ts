import { manualSeed, tensor } from "@iqvae/torch";
import { expect, test, vi } from "vitest";
import { conditionFor } from "../../src/conditions/index.ts";
import { modelRows } from "../../src/metrics/figures.ts";
import { imageSet, withConditions } from "../../src/metrics/image-set.ts";
import { modelFigures, reconstructionsOf } from "../../src/metrics/model-figures.ts";
import { largestPsnr, psnr } from "../../src/metrics/reconstruction.ts";
import { IqVae } from "../../src/models/iqvae.ts";
import { Transformer } from "../../src/models/transformer.ts";
import { titleOf } from "../../src/report/report.ts";
import { SIDE, squares } from "./squares.ts";

const data = squares("semantic");
const half = { channels: 8, multipliers: [1], blocks: 1, patch: 4, codes: 16, codeDim: 4 } as const;

function models() {
  manualSeed(2);
  const iqvae = new IqVae({ image: half, condition: half }, conditionFor(data.condition, SIDE));
  const tokens = {
    conditionCodes: iqvae.conditionCodes,
    imageCodes: iqvae.imageCodes,
    conditionTokens: 64,
    imageTokens: 64,
  };
  return { iqvae, transformer: new Transformer({ layers: 1, width: 16, heads: 2, dropout: 0 }, tokens) };
}

const PRECISION = { precision: "float32" } as const;
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

test("figures of 33 rows, which are more than a batch, are the means of these rows one by one", () => {
  const made = models();
  const rows = Array.from({ length: 33 }, (_, i) => 2 * i + 5);
  const read: number[] = [];
  const split = data.validation;
  const seen = {
    ...data,
    validation: {
      ...split,
      batch: (some: ArrayLike<number>) => {
        read.push(...Array.from(some));
        return split.batch(some);
      },
    },
  };
  const all = modelFigures(made, PRECISION, seen, rows);
  expect(read).toEqual(rows);
  const alone = rows.map((row) => modelFigures(made, PRECISION, data, [row]));
  expect(all.pairs).toBe(33);
  for (const key of ["psnr", "ssim", "bitsPerToken", "bitsAnImage"] as const)
    expect(all[key], key).toBeCloseTo(mean(alone.map((one) => one[key])), 3);
  expect(all.bitsAnImage).toBeCloseTo(64 * all.bitsPerToken, 6);
  for (const key of ["accuracy", "mapIou"])
    expect(all.condition[key], key).toBeCloseTo(mean(alone.map(({ condition }) => condition[key]!)), 6);
  // Nothing was learned, so all codes are nearly equally likely.
  expect(all.bitsPerToken).toBeGreaterThan(3.5);
  expect(all.bitsPerToken).toBeLessThan(4.5);
  expect(() => modelFigures(made, PRECISION, data, [])).toThrow(RangeError);
});

test("figures of conditions have the names that readers know", () => {
  const codebook = { active: 1, perplexity: 2 };
  const rest = {
    pairs: 1,
    psnr: 1,
    ssim: 1,
    bitsPerToken: 1,
    bitsAnImage: 1,
    codebook: { image: codebook, condition: codebook },
  };
  const rows = modelRows({ ...rest, condition: { accuracy: 0.9, mapIou: 0.8, f1: 0.7 } });
  expect(rows.filter(({ key }) => key.startsWith("condition.")).map(({ key, label }) => [key, label])).toEqual([
    ["condition.accuracy", "reconstruction of conditions, accuracy"],
    ["condition.mapIou", "reconstruction of conditions, mIoU"],
    ["condition.f1", "reconstruction of conditions, F1"],
  ]);
  expect(["conditionMapIou", "conditionF1", "conditionFound"].map(titleOf)).toEqual([
    "Condition mIoU",
    "Condition F1",
    "Condition found",
  ]);
});

test("a perfect reconstruction has the largest PSNR that is a number", () => {
  const made = models();
  // The first image comes out right, the others gray.
  const { images } = data.validation.batch([0]);
  const decode = vi.spyOn(made.iqvae, "decodeImage").mockImplementation((codes) => {
    const B = codes.shape[0]!;
    const pixels = new Uint8Array(B * images.length).fill(128);
    pixels.set(images);
    return tensor(pixels, { shape: [B, SIDE, SIDE, 3] });
  });
  const mixed = modelFigures(made, PRECISION, data, [0, 1]).psnr;
  const perfect = modelFigures(made, PRECISION, data, [0]).psnr;
  expect(perfect).toBeCloseTo(10 * Math.log10(255 ** 2 * SIDE * SIDE * 3), 6);
  expect(mixed).toBeLessThan(perfect);
  expect(mixed).toBeGreaterThan(perfect / 2);
  decode.mockRestore();
  // It is what a single value that is off by one has.
  const [a, b] = [images, Uint8Array.from(images, (value, i) => (i === 7 ? value ^ 1 : value))];
  const of = (pixels: Uint8Array) => tensor(pixels, { shape: [1, SIDE, SIDE, 3] });
  expect(psnr(of(a), of(b)).item()).toBeCloseTo(largestPsnr([1, SIDE, SIDE, 3]), 9);
});

test("a coupled decoder sees the condition of each image, in figures and in reconstructions", () => {
  manualSeed(4);
  const coupled = new IqVae({ image: half, condition: half, coupled: true }, conditionFor(data.condition, SIDE));
  const { transformer } = models();
  const rows = Array.from({ length: 40 }, (_, i) => i + 3);
  const { images, conditions } = data.validation.batch(rows);
  const all = withConditions(imageSet(images, SIDE), conditions);
  const made = reconstructionsOf(coupled, PRECISION, data.condition, all);
  const length = SIDE * SIDE;
  // One by one; the 39th and 40th are of the second batch.
  for (const i of [0, 31, 38, 39]) {
    const one = imageSet(images.slice(3 * i * length, 3 * (i + 1) * length), SIDE);
    const own = conditions.slice(i * length, (i + 1) * length);
    const pixels = (given: Uint8Array) =>
      reconstructionsOf(coupled, PRECISION, data.condition, withConditions(one, given)).pixels;
    const expected = made.pixels.subarray(3 * i * length, 3 * (i + 1) * length);
    const off = (given: Uint8Array) => pixels(given).filter((value, k) => Math.abs(value - expected[k]!) > 1).length;
    expect(off(own)).toBe(0);
    expect(off(conditions.slice(length, 2 * length))).toBeGreaterThan(0);
  }
  const error = psnr(
    tensor(made.pixels, { shape: [40, SIDE, SIDE, 3] }),
    tensor(images, { shape: [40, SIDE, SIDE, 3] }),
  );
  expect(modelFigures({ iqvae: coupled, transformer }, PRECISION, data, rows).psnr).toBeCloseTo(error.mean().item(), 2);
  expect(() => reconstructionsOf(coupled, PRECISION, data.condition, imageSet(images, SIDE))).toThrow("got none");
});
