import type { Tensor } from "@iqvae/torch";
import type { Transformer } from "../models/transformer.ts";
import { checkDrawOptions, type DrawOptions, sampleSeed } from "./draw.ts";

/**
 * Where a sample's random numbers come from.
 *
 * - `own`: every condition and every sample has numbers of its own.
 * - `shared`: sample `i` has the same numbers for all conditions, so that samples differ by their conditions alone.
 * - `between`: shared, on the way from those of the seed, share 0, to those of the seed `to`, share 1 [O].
 */
export type Noise =
  | { readonly kind: "own" }
  | { readonly kind: "shared" }
  | { readonly kind: "between"; readonly to: number; readonly share: number };

/** A second condition for each, int64 `[N, conditionTokens]`, and how much of it: 0 none, 1 nothing else. */
export interface Blend {
  readonly conditions: Tensor;
  readonly share: number;
}

/** What to sample. */
export interface SampleOptions extends DrawOptions {
  /** Images for each condition. Default 1. */
  readonly samples?: number;
  /** Number of the first sample; samples 4 to 7 of a condition are the same whether 0 to 3 are drawn with them or not. Default 0. */
  readonly firstSample?: number;
  /** Equal seeds draw equal images. Default 0. */
  readonly seed?: number;
  /** Default `own`. */
  readonly noise?: Noise;
  /**
   * Scale `s` of classifier-free guidance (Ho & Salimans 2022): logits `u + s(c − u)`, with `c` under the condition and `u`
   * without one. 1, the default, is none; above 1 samples follow the condition more closely and vary less; 0 leaves the
   * condition out. Anything but 1 needs a model that was trained with `conditionDropout`.
   */
  readonly guidance?: number;
  /** Most sequences that are drawn at once. Default 32. */
  readonly batch?: number;
  /** Called after every token of every batch, with the share of the work that is done, in `(0, 1]`. */
  readonly onProgress?: (share: number) => void;
}

/** What only those can say who have tokens at hand. */
export interface TokenSampleOptions extends SampleOptions {
  /** Logits on the way from one condition to another, `(1 − share)·a + share·b` [O]. Default: none. */
  readonly blend?: Blend;
  /** Tokens that are given, int64 `[N, imageTokens]`: a code where it is, −1 where one is to be drawn. Default: none is. */
  readonly fixed?: Tensor;
}

/** Draws image tokens for conditions. */
export interface TokenSampler {
  /**
   * @param conditions int64 `[N, conditionTokens]`
   * @returns int64 `[N, samples, imageTokens]`. A row depends on the seed, its condition and the number of the sample, not on
   *   what is drawn beside it (up to ties within the rounding of the weights' dtype).
   * @throws RangeError for options or tokens out of range
   */
  sample(conditions: Tensor, options?: TokenSampleOptions): Tensor;
}

/** Numbers of tokens of what is drawn; a window that slides reads more of them than the model does at once. */
export interface SequenceShape {
  readonly conditionTokens: number;
  readonly imageTokens: number;
}

/** Sequences that are drawn together. */
export interface Batch {
  /** Rows of the conditions that occur, each once. */
  readonly conditions: number[];
  /** For each sequence its place in {@link conditions}. */
  readonly of: number[];
  readonly seeds: bigint[];
  /** Where noise between two seeds leads to; empty for other noise. */
  readonly seedsTo: bigint[];
}

/** Splits the wanted samples into batches, condition after condition. */
export function batchesOf(
  model: Transformer,
  shape: SequenceShape,
  conditions: Tensor,
  options: TokenSampleOptions,
): Batch[] {
  checkDrawOptions(options);
  const { samples = 1, firstSample = 0, seed = 0, batch = 32, noise = { kind: "own" } } = options;
  checkWhole("samples", samples, 1);
  checkWhole("firstSample", firstSample, 0);
  checkWhole("batch", batch, 1);
  checkSeed("seed", seed);
  if (noise.kind === "between") {
    checkSeed("noise.to", noise.to);
    checkShare("noise.share", noise.share);
  }
  const rows = readConditions(model, shape, conditions);
  checkGuidance(model, options.guidance ?? 1);
  checkBlend(model, shape, conditions, options.blend);
  checkFixed(model, shape, conditions, options.fixed);
  const batches: Batch[] = [];
  let open: Batch | undefined;
  rows.forEach((row, condition) => {
    const own = noise.kind === "own" ? row : [];
    for (let i = 0; i < samples; i++) {
      if (open === undefined || open.seeds.length === batch) {
        open = { conditions: [], of: [], seeds: [], seedsTo: [] };
        batches.push(open);
      }
      if (open.conditions.at(-1) !== condition) open.conditions.push(condition);
      open.of.push(open.conditions.length - 1);
      open.seeds.push(sampleSeed(seed, own, firstSample + i));
      if (noise.kind === "between") open.seedsTo.push(sampleSeed(noise.to, own, firstSample + i));
    }
  });
  return batches;
}

function checkWhole(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw new RangeError(`${name} must be a whole number of at least ${least}, but is ${value}`);
}

function checkSeed(name: string, seed: number): void {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`${name} must be a whole number, but is ${seed}`);
}

function checkShare(name: string, share: number): void {
  if (!(share >= 0 && share <= 1)) throw new RangeError(`${name} must lie in [0, 1], but is ${share}`);
}

function checkGuidance(model: Transformer, guidance: number): void {
  if (!(guidance >= 0 && Number.isFinite(guidance)))
    throw new RangeError(`guidance must be a finite number of at least 0, but is ${guidance}; 1 is none`);
  if (guidance !== 1 && model.absent === undefined)
    throw new RangeError(
      `guidance ${guidance} needs a model that was also trained without conditions, and this one was not; ` +
        `train with stage2.conditionDropout=0.1, or leave guidance at 1`,
    );
}

function checkBlend(model: Transformer, shape: SequenceShape, conditions: Tensor, blend: Blend | undefined): void {
  if (blend === undefined) return;
  checkShare("blend.share", blend.share);
  const others = readConditions(model, shape, blend.conditions);
  if (others.length !== conditions.shape[0])
    throw new RangeError(
      `blend.conditions must be one for each of the ${conditions.shape[0]} conditions, but there are ${others.length}`,
    );
}

function checkFixed(model: Transformer, shape: SequenceShape, conditions: Tensor, fixed: Tensor | undefined): void {
  if (fixed === undefined) return;
  const [N, T] = [conditions.shape[0]!, shape.imageTokens];
  if (fixed.shape.join() !== `${N},${T}` || fixed.dtype !== "int64")
    throw new RangeError(
      `fixed must be int64 [${N}, ${T}] here, a token or −1 for each place of each condition's image, but got ${fixed}`,
    );
  const { imageCodes } = model.tokens;
  const wrong = fixed.read("int64").find((token) => token < -1n || token >= BigInt(imageCodes));
  if (wrong !== undefined)
    throw new RangeError(
      `fixed holds ${wrong}, which is neither −1 nor one of the ${imageCodes} codes; encode the image with the stage-1 model of this run`,
    );
}

function readConditions(model: Transformer, shape: SequenceShape, conditions: Tensor): BigInt64Array[] {
  const { conditionCodes } = model.tokens;
  const { conditionTokens } = shape;
  const { dtype } = conditions;
  if (conditions.ndim !== 2 || conditions.shape[1] !== conditionTokens || dtype !== "int64")
    throw new RangeError(
      `sample() takes conditions as int64 [N, ${conditionTokens}] for this model, but got ${conditions}; flatten the grid of condition tokens: indices.flatten(1)`,
    );
  const all = conditions.read("int64");
  const wrong = all.findIndex((token) => token < 0n || token >= BigInt(conditionCodes));
  if (wrong >= 0)
    throw new RangeError(
      `condition token ${all[wrong]} of condition ${Math.floor(wrong / conditionTokens)} lies outside the codebook of ${conditionCodes} codes; encode the condition with the stage-1 model of this run`,
    );
  return Array.from({ length: conditions.shape[0]! }, (_, i) =>
    all.subarray(i * conditionTokens, (i + 1) * conditionTokens),
  );
}
