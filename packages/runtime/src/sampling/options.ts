import { checkDrawOptions, type DrawOptions } from "./choose.ts";
import { sampleSeed } from "./seeds.ts";

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
  /** Logits on the way from one condition to another, `(1 − share)·a + share·b` [O]: tokens of another condition for each. */
  readonly blend?: { readonly conditions: readonly Int32Array[]; readonly share: number };
  /** For each condition the tokens that are given: a code where one is, −1 where one is to be drawn. Default: none is. */
  readonly fixed?: readonly Int32Array[];
}

/** Numbers of codes and tokens of a model. */
export interface TokenCounts {
  readonly conditionCodes: number;
  readonly imageCodes: number;
  /** Tokens of a condition and of an image as they are sampled. */
  readonly conditionTokens: number;
  readonly imageTokens: number;
  /** The code that stands in every place of a condition that is left out, if the model has one. */
  readonly absent: number | undefined;
}

/** Sequences that are drawn together. */
export interface Batch {
  /** Numbers of the conditions that occur, each once. */
  readonly conditions: number[];
  /** For each sequence its place in {@link conditions}. */
  readonly of: number[];
  readonly seeds: number[];
  /** Where noise between two seeds leads to; empty for other noise. */
  readonly seedsTo: number[];
}

/**
 * Splits the wanted samples into batches, condition after condition. Each is made when it is wanted: the seeds of very many take seconds.
 *
 * @param options that were checked
 */
export function* batchesOf(
  conditions: readonly Int32Array[],
  { samples = 1, firstSample = 0, seed = 0, batch = 32, noise = { kind: "own" } }: TokenSampleOptions,
): Generator<Batch, void> {
  let open: Batch = { conditions: [], of: [], seeds: [], seedsTo: [] };
  for (const [condition, tokens] of conditions.entries()) {
    const own = noise.kind === "own" ? tokens : [];
    for (let i = 0; i < samples; i++) {
      if (open.seeds.length === batch) {
        yield open;
        open = { conditions: [], of: [], seeds: [], seedsTo: [] };
      }
      if (open.conditions.at(-1) !== condition) open.conditions.push(condition);
      open.of.push(open.conditions.length - 1);
      open.seeds.push(sampleSeed(seed, own, firstSample + i));
      if (noise.kind === "between") open.seedsTo.push(sampleSeed(noise.to, own, firstSample + i));
    }
  }
  if (open.seeds.length > 0) yield open;
}

/**
 * Checks what can be known before a model is loaded.
 *
 * @param model.unconditional whether it was also trained without conditions
 * @throws RangeError for the first option that is out of its range or does not fit the model
 */
export function checkSampleOptions(options: SampleOptions, { unconditional }: { unconditional: boolean }): void {
  checkDrawOptions(options);
  const { samples = 1, firstSample = 0, seed = 0, batch = 32, noise, guidance = 1 } = options;
  checkWhole("samples", samples, 1);
  checkWhole("firstSample", firstSample, 0);
  checkWhole("batch", batch, 1);
  checkSeed("seed", seed);
  if (noise !== undefined) checkNoise(noise);
  checkGuidance(guidance, unconditional);
}

/** @throws RangeError for the first option that is out of its range or does not fit the model */
export function checkOptions(model: TokenCounts, conditions: readonly Int32Array[], options: TokenSampleOptions): void {
  checkSampleOptions(options, { unconditional: model.absent !== undefined });
  const { blend, fixed } = options;
  checkConditions(model, conditions);
  if (blend !== undefined) {
    checkShare("blend.share", blend.share);
    checkConditions(model, blend.conditions);
    if (blend.conditions.length !== conditions.length)
      throw new RangeError(
        `blend.conditions must be one for each of the ${conditions.length} conditions, but there are ${blend.conditions.length}`,
      );
  }
  if (fixed !== undefined) checkFixed(model, conditions, fixed);
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

function checkNoise(noise: Noise): void {
  // A kind that is unknown would draw as if it were another one.
  const kinds: readonly unknown[] = ["own", "shared", "between"];
  if (!kinds.includes(noise?.kind))
    throw new RangeError(`noise.kind must be own, shared or between, but is ${noise?.kind}; own is the default`);
  if (noise.kind !== "between") return;
  checkSeed("noise.to", noise.to);
  checkShare("noise.share", noise.share);
}

function checkGuidance(guidance: number, unconditional: boolean): void {
  if (!(guidance >= 0 && Number.isFinite(guidance)))
    throw new RangeError(`guidance must be a finite number of at least 0, but is ${guidance}; 1 is none`);
  if (guidance !== 1 && !unconditional)
    throw new RangeError(
      `guidance ${guidance} needs a model that was also trained without conditions, and this one was not; ` +
        `train with stage2.conditionDropout=0.1, or leave guidance at 1`,
    );
}

function checkConditions(model: TokenCounts, conditions: readonly Int32Array[]): void {
  conditions.forEach((tokens, i) => {
    if (tokens.length !== model.conditionTokens)
      throw new RangeError(`condition ${i} has ${tokens.length} tokens, but the model takes ${model.conditionTokens}`);
    const wrong = tokens.find((token) => token < 0 || token >= model.conditionCodes);
    if (wrong !== undefined)
      throw new RangeError(
        `condition token ${wrong} of condition ${i} lies outside the codebook of ${model.conditionCodes} codes; encode the condition with the stage-1 model of this run`,
      );
  });
}

function checkFixed(model: TokenCounts, conditions: readonly Int32Array[], fixed: readonly Int32Array[]): void {
  const { imageCodes, imageTokens } = model;
  if (fixed.length !== conditions.length || fixed.some(({ length }) => length !== imageTokens))
    throw new RangeError(
      `fixed must hold ${imageTokens} tokens for each of the ${conditions.length} conditions, but has [${fixed.map(({ length }) => length).join(", ")}]`,
    );
  const wrong = fixed.flatMap((tokens) => [...tokens]).find((token) => token < -1 || token >= imageCodes);
  if (wrong !== undefined)
    throw new RangeError(
      `fixed holds ${wrong}, which is neither −1 nor one of the ${imageCodes} codes; encode the image with the stage-1 model of this run`,
    );
}
