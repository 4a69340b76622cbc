import { inferenceMode, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import { conditionShape } from "../conditions/index.ts";
import type { Config } from "../config/index.ts";
import type { PairSplit } from "../data/index.ts";
import { conditionSpec } from "../data/index.ts";
import type { IqVae } from "../models/iqvae.ts";
import { usageOf } from "../models/quantizer.ts";
import type { Transformer } from "../models/transformer.ts";
import { inPrecision } from "../support/precision.ts";
import { forEachBatch, type ImageSet, imageSet } from "./image-set.ts";
import { psnr, ssim } from "./reconstruction.ts";

/** What a run's models make of held-out pairs, without drawing anything. */
export interface ModelFigures {
  /** Held-out pairs that were looked at. */
  readonly pairs: number;
  /** Of the images that stage 1 reconstructs: decibels, mean over images. */
  readonly psnr: number;
  readonly ssim: number;
  /** Mean negative log-likelihood of an image token under stage 2, in bits. */
  readonly bitsPerToken: number;
  /** The share of codes that come up at all, and the exponential of the entropy of their use. */
  readonly codebook: Readonly<Record<"image" | "condition", { readonly active: number; readonly perplexity: number }>>;
}

const BATCH = 32;

/** Measures both models of a run on the first `most` pairs of a split. */
export function modelFigures(
  { iqvae, transformer }: { iqvae: IqVae; transformer: Transformer },
  { data, precision }: Config,
  split: PairSplit,
  most: number,
): ModelFigures {
  const pairs = Math.min(most, split.length);
  const sums = { psnr: 0, ssim: 0, nats: 0 };
  const used = { image: new Float64Array(iqvae.imageCodes), condition: new Float64Array(iqvae.conditionCodes) };
  for (let first = 0; first < pairs; first += BATCH) {
    const rows = Array.from({ length: Math.min(BATCH, pairs - first) }, (_, i) => first + i);
    scope(() =>
      inferenceMode(() => {
        const batch = split.batch(rows);
        const shape = conditionShape(conditionSpec(data), data.size);
        const images = tensor(batch.images, { shape: [rows.length, data.size, data.size, 3] });
        const rasters = tensor(batch.conditions, { shape: [rows.length, ...shape] });
        const { imageCodes, conditionCodes, painted, nats } = inPrecision({ precision }, () => {
          const [codes, given] = [iqvae.encodeImage(images), iqvae.encodeCondition(rasters)];
          return {
            imageCodes: codes,
            conditionCodes: given,
            painted: iqvae.decodeImage(codes),
            nats: tokenNats(transformer, given.flatten(1), codes.flatten(1)),
          };
        });
        count(imageCodes, used.image);
        count(conditionCodes, used.condition);
        sums.psnr += psnr(painted, images).sum().item();
        sums.ssim += ssim(painted, images).sum().item();
        sums.nats += nats.item() * rows.length;
      }),
    );
  }
  return {
    pairs,
    psnr: sums.psnr / pairs,
    ssim: sums.ssim / pairs,
    bitsPerToken: sums.nats / pairs / Math.LN2,
    codebook: { image: usageOf(used.image, 1), condition: usageOf(used.condition, 1) },
  };
}

/** What stage 1 makes of images. */
export function reconstructionsOf(iqvae: IqVae, { precision }: Config, images: ImageSet): ImageSet {
  const pixels = new Uint8Array(images.pixels.length);
  const length = pixels.length / images.count;
  forEachBatch(images, BATCH, (batch, first) => {
    const painted = inferenceMode(() =>
      inPrecision({ precision }, () => iqvae.decodeImage(iqvae.encodeImage(batch)).read("uint8")),
    );
    pixels.set(painted, first * length);
  });
  return imageSet(pixels, images.size);
}

/** Mean over tokens of the negative log-likelihood in nats: conditions int64 `[B, conditionTokens]`, images `[B, imageTokens]`. */
function tokenNats(transformer: Transformer, conditions: Tensor, images: Tensor): Tensor {
  const logits = transformer.forward(conditions, images.slice(1, 0, images.shape[1]! - 1));
  return ops.aten.cross_entropy_loss(logits.flatten(0, 1).to("float32"), images.flatten());
}

function count(codes: Tensor, into: Float64Array): void {
  for (const code of codes.read("int64")) into[Number(code)]! += 1;
}
