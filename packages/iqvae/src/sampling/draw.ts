import { createHash } from "node:crypto";
import { Generator, ops, type Tensor, unscoped } from "@iqvae/torch";
import { toGumbel_ } from "../support/gumbel.ts";

/** How a token is chosen from the logits. */
export interface DrawOptions {
  /** Logits are divided by it: below 1 safer, above 1 more varied. Default 1. */
  readonly temperature?: number;
  /** Only the `topK` likeliest codes are candidates. Default: all. */
  readonly topK?: number;
  /** Only the likeliest codes that together reach this probability are candidates, in `(0, 1]`. Default 1: all. */
  readonly topP?: number;
}

/** @throws RangeError naming the option, its range and what to choose instead. */
export function checkDrawOptions(options: DrawOptions): void {
  const { temperature = 1, topK, topP = 1 } = options;
  if (!(temperature > 0 && Number.isFinite(temperature)))
    throw new RangeError(
      `temperature must be a finite number above 0, but is ${temperature}; for the likeliest image take topK: 1`,
    );
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 1))
    throw new RangeError(`topK must be a whole number of at least 1, but is ${topK}; leave it out to allow all codes`);
  if (!(topP > 0 && topP <= 1))
    throw new RangeError(
      `topP must lie in (0, 1], but is ${topP}; 1 allows all codes, 0.9 leaves out the unlikely tail`,
    );
}

/** Below it float32 would overflow, and the likeliest code be one of many infinite ones; at it, no noise outweighs a difference. */
const LEAST_TEMPERATURE = 1e-30;

/**
 * Divides by the temperature and puts −∞ where a code is no candidate: first top-k, then top-p (nucleus sampling, Holtzman et
 * al. 2020) among what is left. Codes that tie with the last candidate stay in.
 *
 * @param logits float32 `[B, K]`
 * @returns float32 `[B, K]`; at least one code of each row stays
 */
export function filterLogits(logits: Tensor, options: DrawOptions): Tensor {
  const { topK, topP = 1 } = options;
  const temperature = Math.max(options.temperature ?? 1, LEAST_TEMPERATURE);
  const scaled = temperature === 1 ? logits : logits.div(temperature);
  const codes = scaled.shape[1]!;
  const k = Math.min(topK ?? codes, codes);
  if (k === codes && topP === 1) return scaled;
  const [largest] = scaled.topk(k, -1); // [B, k], descending
  return scaled.masked_fill(scaled.lt(topP === 1 ? largest.slice(1, k - 1) : nucleusFloor(largest, topP)), -Infinity);
}

/** The smallest logit of each row's nucleus, `[B, 1]`: a code is in it while those before it have not reached `topP`. */
function nucleusFloor(descending: Tensor, topP: number): Tensor {
  const probability = descending.softmax(-1);
  const before = probability.cumsum(-1).sub(probability);
  return descending.masked_fill(before.ge(topP), Infinity).amin([-1], true);
}

/**
 * One token a row, by the Gumbel-max trick: `argmax(ℓ + g)` is distributed as `softmax(ℓ)`.
 *
 * Not by inverting the cumulative distribution, whose every step moves with the rounding of all logits: here a rounding
 * difference changes the token only where two candidates tie, so that other orders of summation draw the same tokens.
 *
 * @param noise Gumbel noise `[B, K]`
 * @returns int64 `[B]`
 */
export function drawTokens(logits: Tensor, noise: Tensor, options: DrawOptions): Tensor {
  return filterLogits(logits, options).add(noise).argmax(-1);
}

/** Steps whose noise is drawn at once. Part of what a seed means: another value draws other images. */
const STEPS_A_BLOCK = 16;

/** Gumbel noise, step after step. */
export interface GumbelNoise extends Disposable {
  /** The noise of the next step, `[B, K]`; valid until the next call. */
  next(): Tensor;
}

/** Gumbel noise of a batch of sequences, each from a generator of its own, so that no sequence depends on its neighbors. */
export class GumbelStream implements GumbelNoise {
  readonly #generators: readonly Generator[];
  readonly #exponential: Tensor;
  readonly #noise: Tensor;
  #step = 0;

  /** @param device where the noise is used; it is always drawn on the CPU, so that a seed means the same everywhere */
  constructor(seeds: readonly bigint[], codes: number, device: string) {
    this.#generators = seeds.map((seed) => new Generator(seed));
    const shape = [seeds.length, STEPS_A_BLOCK, codes];
    this.#exponential = unscoped(() => ops.aten.empty(shape, { device: "cpu" }));
    this.#noise = device === "cpu" ? this.#exponential : unscoped(() => ops.aten.empty(shape, { device }));
  }

  next(): Tensor {
    const step = this.#step % STEPS_A_BLOCK;
    if (step === 0) this.#draw();
    this.#step += 1;
    return this.#noise.select(1, step);
  }

  #draw(): void {
    // Rows of their own are contiguous whatever the batch; libtorch draws differently into strided memory.
    this.#generators.forEach((generator, i) => {
      this.#exponential.select(0, i).exponential_(1, { generator });
    });
    toGumbel_(this.#exponential);
    if (this.#noise !== this.#exponential) this.#noise.copy_(this.#exponential);
  }

  [Symbol.dispose](): void {
    this.#exponential.dispose();
    this.#noise.dispose();
  }
}

/**
 * Noise between two streams, on the great circle [O]: both are brought to standard normal numbers by the inverse of the
 * distribution function, mixed as `cos(θ)·a + sin(θ)·b` with `θ = share·π/2`, which is standard normal again, and brought
 * back. So the noise has Gumbel's distribution for every share, and moves from the one stream to the other.
 */
export class GumbelBetween implements GumbelNoise {
  readonly #from: GumbelNoise;
  readonly #to: GumbelNoise;
  readonly #share: number;

  constructor(from: GumbelNoise, to: GumbelNoise, share: number) {
    this.#from = from;
    this.#to = to;
    this.#share = share;
  }

  next(): Tensor {
    const [from, to] = [this.#from.next(), this.#to.next()];
    // The ends are the streams themselves, to the bit.
    if (this.#share === 0) return from;
    if (this.#share === 1) return to;
    const angle = (this.#share * Math.PI) / 2;
    return fromNormal(
      toNormal(from)
        .mul(Math.cos(angle))
        .add(toNormal(to).mul(Math.sin(angle))),
    ).to(from.dtype);
  }

  [Symbol.dispose](): void {
    this.#from[Symbol.dispose]();
    this.#to[Symbol.dispose]();
  }
}

/** The smallest Gumbel noise that is told apart: −log 36, which no code ever wins with. */
const LEAST_NOISE = -Math.log(36);

/** Gumbel noise to standard normal numbers of the same quantile; by the upper tail, where the codes that win lie. */
function toNormal(gumbel: Tensor): Tensor {
  const upperTail = gumbel.to("float64").clamp_min(LEAST_NOISE).neg().exp().neg().expm1().neg(); // 1 − exp(−e^−g)
  return ops.aten.special_ndtri(upperTail).neg();
}

function fromNormal(normal: Tensor): Tensor {
  return ops.aten.special_log_ndtr(normal).neg().log().neg();
}

/** The seed of one image: decided by the user's seed, the condition's tokens and the number of the sample, nothing else. Noise that conditions share has no `condition`. */
export function sampleSeed(seed: number, condition: ArrayLike<number | bigint>, sample: number): bigint {
  const text = `${seed} ${sample} ${Array.from(condition).join(" ")}`;
  return createHash("sha256").update(text).digest().readBigUInt64LE() & 0x7fffffffffffffffn;
}
