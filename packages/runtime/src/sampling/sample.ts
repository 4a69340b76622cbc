import { chooseToken } from "./choose.ts";
import { NoiseBetween, type Noise as NoiseNumbers, NoiseStream } from "./noise.ts";
import { type Batch, batchesOf, checkOptions, type TokenCounts, type TokenSampleOptions } from "./options.ts";

/** Sequences that a model predicts side by side. */
export interface Sequences {
  /** Tokens of the conditions that occur. */
  readonly conditions: readonly Int32Array[];
  /** For each of the `S` sequences the number of its condition among {@link conditions}. */
  readonly of: Int32Array;
}

/** What a model is asked: the logits of image token `t` of all sequences. With `t` 0 a new batch begins. */
export interface Question {
  readonly sequences: Sequences;
  readonly t: number;
  /** Token `t − 1` of each sequence, `[S]`; empty when `t` is 0. */
  readonly last: Int32Array;
  /** All tokens, `[S, imageTokens]`; those from `t` on mean nothing. Do not keep it. */
  readonly drawn: Int32Array;
  /** The first image of this batch among all, and how many it has: the rest of the `S` rows repeat them for guidance. */
  readonly images: { readonly first: number; readonly count: number };
}

/** Logits float32 `[S, imageCodes]`. They may be overwritten by whoever asked. */
export type Answer = Float32Array;

/**
 * Draws image tokens. It asks for logits and is told them, so that the model behind may answer at once or later:
 *
 *     const drawing = sampleTokens(model, conditions, options);
 *     let step = drawing.next();
 *     while (!step.done) step = drawing.next(predict(step.value));
 *
 * All that changes what is drawn stands here: equal logits draw equal tokens, whatever predicts them. A sample depends on the seed,
 * its condition and its number, not on what is drawn beside it.
 *
 * @param conditions tokens of each condition
 * @returns for each condition `options.samples` times its image's tokens, one after the other
 * @throws RangeError for options or tokens out of range
 */
export function* sampleTokens(
  model: TokenCounts,
  conditions: readonly Int32Array[],
  options: TokenSampleOptions = {},
): Generator<Question, Int32Array[], Answer> {
  checkOptions(model, conditions, options);
  const { samples = 1, batch: most = 32 } = options;
  const batches = Math.ceil((conditions.length * samples) / most);
  const branches = branchesOf(model, conditions, options);
  const images: Int32Array[] = [];
  for (const batch of batchesOf(conditions, options)) {
    // All before it are full.
    const onProgress = (share: number) => options.onProgress?.((images.length / most + share) / batches);
    images.push(...(yield* drawBatch(model, batch, branches, options, images.length, onProgress)));
  }
  return images;
}

/** One of the predictions whose weighted sum decides a token: conditions, or one for all. */
interface Branch {
  readonly conditions: readonly Int32Array[];
  readonly weight: number;
}

/** Above it float32 would overflow; at it, nothing but the difference of both predictions counts. */
const MOST_GUIDANCE = 1e30;

/**
 * The predictions that the options ask for. Guidance and blending are both sums of logits, with weights that sum to 1:
 * `u + s(c − u) = s·c + (1 − s)·u`, and `c` may itself be `(1 − b)·c₁ + b·c₂`. What has no weight is left out, so that
 * guidance 1 without a blend is plain sampling, to the bit.
 */
function branchesOf(
  { absent, conditionTokens }: TokenCounts,
  conditions: readonly Int32Array[],
  { guidance: wanted = 1, blend }: TokenSampleOptions,
): Branch[] {
  const guidance = Math.min(wanted, MOST_GUIDANCE);
  const share = blend?.share ?? 0;
  const branches: Branch[] = [{ conditions, weight: guidance * (1 - share) }];
  if (blend !== undefined) branches.push({ conditions: blend.conditions, weight: guidance * share });
  if (absent !== undefined) {
    branches.push({ conditions: [new Int32Array(conditionTokens).fill(absent)], weight: 1 - guidance });
  }
  return branches.filter(({ weight }) => weight !== 0);
}

/** All branches go through the model as one batch of `branches × B` sequences, and get the tokens that their sum decides. */
function* drawBatch(
  { imageCodes: K, imageTokens: T }: TokenCounts,
  batch: Batch,
  branches: readonly Branch[],
  options: TokenSampleOptions,
  first: number,
  onProgress: (share: number) => void,
): Generator<Question, Int32Array[], Answer> {
  const B = batch.seeds.length;
  const S = branches.length * B;
  const sequences = sequencesOf(batch, branches);
  const noise = batch.seeds.map((_, i) => noiseOf(batch, i, K, options));
  const drawn = new Int32Array(S * T);
  const images = { first, count: B };
  let last = new Int32Array(0);
  for (let t = 0; t < T; t++) {
    const answer = yield { sequences, t, last, drawn, images };
    const logits = weightedSum(answer, branches, B * K);
    last = new Int32Array(S);
    for (let i = 0; i < B; i++) {
      // Noise is drawn for given tokens too: those that are free then have the same, whatever is given.
      const numbers = noise[i]!.next();
      const fixed = options.fixed?.[batch.conditions[batch.of[i]!]!];
      const given = fixed?.[t] ?? -1;
      const token = given >= 0 ? given : chooseToken(logits.subarray(i * K, (i + 1) * K), numbers, options);
      for (let s = i; s < S; s += B) {
        last[s] = token;
        drawn[s * T + t] = token;
      }
    }
    onProgress((t + 1) / T);
  }
  return Array.from({ length: B }, (_, i) => drawn.slice(i * T, (i + 1) * T));
}

function sequencesOf(batch: Batch, branches: readonly Branch[]): Sequences {
  const conditions: Int32Array[] = [];
  const of: number[] = [];
  for (const branch of branches) {
    const one = branch.conditions.length === 1;
    const before = conditions.length;
    conditions.push(...(one ? branch.conditions : batch.conditions.map((row) => branch.conditions[row]!)));
    of.push(...batch.of.map((place) => before + (one ? 0 : place)));
  }
  return { conditions, of: Int32Array.from(of) };
}

/** The sum of the branches' logits in float32, `[length]`, in place of the first one's. */
function weightedSum(logits: Float32Array, branches: readonly Branch[], length: number): Float32Array {
  if (branches.length === 1 && branches[0]!.weight === 1) return logits;
  branches.forEach(({ weight }, m) => {
    const factor = Math.fround(weight);
    for (let i = 0; i < length; i++) {
      const part = Math.fround(logits[m * length + i]! * factor);
      logits[i] = m === 0 ? part : logits[i]! + part;
    }
  });
  return logits;
}

function noiseOf(batch: Batch, i: number, codes: number, { noise }: TokenSampleOptions): NoiseNumbers {
  const from = new NoiseStream(batch.seeds[i]!, codes);
  if (noise?.kind !== "between") return from;
  return new NoiseBetween(from, new NoiseStream(batch.seedsTo[i]!, codes), noise.share, codes);
}
