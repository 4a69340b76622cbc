import { inferenceMode, scope, type Tensor, tensor } from "@iqvae/torch";
import { conditionFor, conditionLength, conditionShape, meanFidelity } from "../conditions/index.ts";
import type { Config } from "../config/index.ts";
import { batchTensors, type ConditionSpec, type PairDataset } from "../data/index.ts";
import type { IqVae } from "../models/iqvae.ts";
import { countCodes, usageOf } from "../models/quantizer.ts";
import { imageSurprise, type Transformer } from "../models/transformer.ts";
import { inPrecision } from "../support/precision.ts";
import { forEachBatch, type ImageSet, imageSet } from "./image-set.ts";
import { largestPsnr, psnr, ssim } from "./reconstruction.ts";

/** What a run's models make of held-out pairs, without drawing anything. */
export interface ModelFigures {
  /** Held-out pairs that were looked at. */
  readonly pairs: number;
  /**
   * Of the images that stage 1 reconstructs: decibels, mean over images. One that is equal counts as if it were
   * {@link largestPsnr}, the most that any other can have.
   */
  readonly psnr: number;
  readonly ssim: number;
  /** How well stage 1 reconstructs conditions, by name: means over conditions of `Condition.fidelity`. */
  readonly condition: Readonly<Record<string, number>>;
  /** Mean negative log-likelihood of an image token under stage 2, in bits, and of all tokens of an image. */
  readonly bitsPerToken: number;
  readonly bitsAnImage: number;
  /** The share of codes that come up at all, and the exponential of the entropy of their use. */
  readonly codebook: Readonly<Record<"image" | "condition", { readonly active: number; readonly perplexity: number }>>;
}

const BATCH = 32;

/**
 * Measures both models of a run on held-out pairs of a data set.
 *
 * @param rows numbers of pairs of `dataset.validation`, at least one
 * @throws RangeError when there are none
 */
export function modelFigures(
  { iqvae, transformer }: { iqvae: IqVae; transformer: Transformer },
  config: Pick<Config, "precision">,
  dataset: Pick<PairDataset, "validation" | "size" | "condition">,
  rows: readonly number[],
): ModelFigures {
  if (rows.length === 0) throw new RangeError("modelFigures takes at least one held-out pair, but got none.");
  const sums = { psnr: 0, ssim: 0, bits: 0 };
  const condition = conditionFor(dataset.condition, dataset.size);
  const fidelity: Record<string, number> = {};
  const used = { image: new Float64Array(iqvae.imageCodes), condition: new Float64Array(iqvae.conditionCodes) };
  for (let first = 0; first < rows.length; first += BATCH) {
    const some = rows.slice(first, first + BATCH);
    scope(() =>
      inferenceMode(() => {
        const { images, rasters } = batchTensors(dataset.validation.batch(some), some.length, dataset);
        const { codes, given, painted, drawn, surprise } = inPrecision(config, () => {
          const [codes, given] = [iqvae.encodeImage(images), iqvae.encodeCondition(rasters)];
          const surprise = imageSurprise(transformer, given.flatten(1), codes.flatten(1));
          return {
            codes,
            given,
            painted: iqvae.decodeImage(codes, given),
            drawn: iqvae.decodeCondition(given),
            surprise,
          };
        });
        countCodes(codes, used.image);
        countCodes(given, used.condition);
        sums.psnr += sumOf(psnr(painted, images).clamp_max(largestPsnr(images.shape)));
        sums.ssim += sumOf(ssim(painted, images));
        sums.bits += sumOf(surprise) / Math.LN2;
        const [truth, guess] = [rasters, drawn].map((x) => x.contiguous().read("uint8"));
        for (const [name, value] of Object.entries(meanFidelity(condition, truth!, guess!)))
          fidelity[name] = (fidelity[name] ?? 0) + value * some.length;
      }),
    );
  }
  return {
    pairs: rows.length,
    psnr: sums.psnr / rows.length,
    ssim: sums.ssim / rows.length,
    condition: Object.fromEntries(Object.entries(fidelity).map(([name, sum]) => [name, sum / rows.length])),
    bitsPerToken: sums.bits / rows.length / transformer.tokens.imageTokens,
    bitsAnImage: sums.bits / rows.length,
    codebook: { image: usageOf(used.image), condition: usageOf(used.condition) },
  };
}

function sumOf(values: Tensor): number {
  return values.sum().item();
}

/**
 * What stage 1 makes of images.
 *
 * @param images with their conditions, where the decoder sees these
 */
export function reconstructionsOf(
  iqvae: IqVae,
  config: Pick<Config, "precision">,
  condition: ConditionSpec,
  images: ImageSet,
): ImageSet {
  const pixels = new Uint8Array(images.pixels.length);
  const length = pixels.length / images.count;
  forEachBatch(images, BATCH, (batch, first) => {
    const painted = inferenceMode(() =>
      inPrecision(config, () => {
        const given = iqvae.coupling === null ? null : conditionsOf(images, condition, first, batch.shape[0]!);
        return iqvae.decodeImage(iqvae.encodeImage(batch), given && iqvae.encodeCondition(given)).read("uint8");
      }),
    );
    pixels.set(painted, first * length);
  });
  return imageSet(pixels, images.size);
}

/** Conditions of some images, uint8 `[count, …]`; `null` where they are not known. */
function conditionsOf(
  { conditions, size }: ImageSet,
  spec: ConditionSpec,
  first: number,
  count: number,
): Tensor | null {
  if (conditions === undefined) return null;
  const length = conditionLength(spec, size);
  const bytes = conditions.subarray(first * length, (first + count) * length);
  return tensor(bytes, { shape: [count, ...conditionShape(spec, size)] });
}
