import type { Tensor } from "@iqvae/torch";
import type { Transformer } from "../models/transformer.ts";
import { checkDrawOptions, type DrawOptions, sampleSeed } from "./draw.ts";

/** What to sample. */
export interface SampleOptions extends DrawOptions {
  /** Images for each condition. Default 1. */
  readonly samples?: number;
  /** Number of the first sample; samples 4 to 7 of a condition are the same whether 0 to 3 are drawn with them or not. Default 0. */
  readonly firstSample?: number;
  /** Equal seeds draw equal images. Default 0. */
  readonly seed?: number;
  /** Most sequences that are drawn at once. Default 32. */
  readonly batch?: number;
  /** Called after every token of every batch, with the share of the work that is done, in `(0, 1]`. */
  readonly onProgress?: (share: number) => void;
}

/** Draws image tokens for conditions. */
export interface TokenSampler {
  /**
   * @param conditions int64 `[N, conditionTokens]`
   * @returns int64 `[N, samples, imageTokens]`. A row depends on the seed, its condition and the number of the sample, not on
   *   what is drawn beside it (up to ties within the rounding of the weights' dtype).
   * @throws RangeError for options or tokens out of range
   */
  sample(conditions: Tensor, options?: SampleOptions): Tensor;
}

/** Sequences that are drawn together. */
export interface Batch {
  /** Rows of the conditions that occur, each once. */
  readonly conditions: number[];
  /** For each sequence its place in {@link conditions}. */
  readonly of: number[];
  readonly seeds: bigint[];
}

/** Splits the wanted samples into batches, condition after condition. */
export function planBatches(model: Transformer, conditions: Tensor, options: SampleOptions): Batch[] {
  checkDrawOptions(options);
  const { samples = 1, firstSample = 0, seed = 0, batch = 32 } = options;
  checkWhole("samples", samples, 1);
  checkWhole("firstSample", firstSample, 0);
  checkWhole("batch", batch, 1);
  if (!Number.isSafeInteger(seed)) throw new RangeError(`seed must be a whole number, but is ${seed}`);
  const rows = readConditions(model, conditions);
  const batches: Batch[] = [];
  let open: Batch | undefined;
  rows.forEach((row, condition) => {
    for (let i = 0; i < samples; i++) {
      if (open === undefined || open.seeds.length === batch) {
        open = { conditions: [], of: [], seeds: [] };
        batches.push(open);
      }
      if (open.conditions.at(-1) !== condition) open.conditions.push(condition);
      open.of.push(open.conditions.length - 1);
      open.seeds.push(sampleSeed(seed, row, firstSample + i));
    }
  });
  return batches;
}

function checkWhole(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw new RangeError(`${name} must be a whole number of at least ${least}, but is ${value}`);
}

function readConditions(model: Transformer, conditions: Tensor): BigInt64Array[] {
  const { conditionTokens, conditionCodes } = model.tokens;
  const { shape, dtype } = conditions;
  if (shape.length !== 2 || shape[1] !== conditionTokens || dtype !== "int64")
    throw new RangeError(
      `sample() takes conditions as int64 [N, ${conditionTokens}] for this model, but got ${conditions}; flatten the grid of condition tokens: indices.flatten(1)`,
    );
  const all = conditions.read("int64");
  const wrong = all.findIndex((token) => token < 0n || token >= BigInt(conditionCodes));
  if (wrong >= 0)
    throw new RangeError(
      `condition token ${all[wrong]} of condition ${Math.floor(wrong / conditionTokens)} lies outside the codebook of ${conditionCodes} codes; encode the condition with the stage-1 model of this run`,
    );
  return Array.from({ length: shape[0]! }, (_, i) => all.subarray(i * conditionTokens, (i + 1) * conditionTokens));
}
