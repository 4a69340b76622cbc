import { COUNT, expectKind, expectOptions, FLAG, orNull, SHARE, TENSOR } from "../given.ts";
import { ops } from "../ops.ts";
import type { Tensor } from "../tensor.ts";
import { dropped, Linear } from "./layers.ts";
import { Module } from "./module.ts";
import { parameter, zeros } from "./parameter.ts";

/** What a {@link MultiheadAttention} can be told besides its sizes. */
export interface AttentionOptions {
  /** Share of the attention weights that is dropped in training. Default 0. */
  readonly dropout?: number;
  /** Default true. */
  readonly bias?: boolean;
  /** Whether the batch comes first, `[B, T, E]`. Default false, as in PyTorch: `[T, B, E]`. */
  readonly batchFirst?: boolean;
}

/** How {@link MultiheadAttention.forward} attends. Masks of booleans name what is *not* attended to; others are added. */
export interface AttentionCall {
  /** `[B, S]`: keys that are padding. */
  readonly keyPaddingMask?: Tensor;
  /** `[L, S]` or `[B·heads, L, S]`. */
  readonly attnMask?: Tensor;
  /** Each position attends to itself and those before it; no mask is needed for that. Default false. */
  readonly isCausal?: boolean;
  /**
   * Whether the weights are given back. Default true; without them, causal attention of a tensor to itself is much faster, and has no
   * second derivative.
   */
  readonly needWeights?: boolean;
  /** Whether they are averaged over the heads. Default true. */
  readonly averageAttnWeights?: boolean;
}

const OPTIONS = { dropout: SHARE, bias: FLAG, batchFirst: FLAG };
const CALL_OPTIONS = {
  keyPaddingMask: orNull(TENSOR),
  attnMask: orNull(TENSOR),
  isCausal: FLAG,
  needWeights: FLAG,
  averageAttnWeights: FLAG,
};

/**
 * Multi-head attention (Vaswani et al. 2017, section 3.2.2), with the names of PyTorch's weights: `in_proj_weight` holds the
 * projections of queries, keys and values one below the other.
 */
export class MultiheadAttention extends Module {
  readonly in_proj_weight: Tensor;
  readonly in_proj_bias: Tensor | null;
  readonly out_proj: Linear;
  readonly #heads: number;
  readonly #dropout: number;
  readonly #batchFirst: boolean;

  /** @throws RangeError when `width` does not divide into `heads` */
  constructor(width: number, heads: number, options: AttentionOptions = {}) {
    super();
    expectKind("MultiheadAttention", { width, heads }, COUNT);
    if (width % heads !== 0) throw new RangeError(`MultiheadAttention: ${width} does not divide into ${heads} heads`);
    expectOptions("MultiheadAttention", options, OPTIONS);
    const { dropout = 0, bias = true, batchFirst = false } = options;
    // Glorot & Bengio 2010, of the three projections taken for one matrix.
    const bound = Math.sqrt(6 / (width + 3 * width));
    this.in_proj_weight = parameter([3 * width, width], (tensor) => tensor.uniform_(-bound, bound));
    this.in_proj_bias = bias ? parameter([3 * width], zeros) : null;
    this.out_proj = new Linear(width, width, { bias });
    this.out_proj.bias?.detach().zero_();
    this.#heads = heads;
    this.#dropout = dropout;
    this.#batchFirst = batchFirst;
  }

  /**
   * @param query `[B, L, E]`, or `[L, B, E]` unless `batchFirst`; @param key and @param value with `S` in place of `L`
   * @returns the result in the shape of `query`, and the weights `[B, L, S]` (`[B, heads, L, S]` unless averaged; in training those that
   *   dropout has left), or `null`
   * @throws RangeError for another number of dimensions, and for a mask of another shape; TypeError for a mask of whole numbers
   */
  forward(query: Tensor, key: Tensor, value: Tensor, options: AttentionCall = {}): [Tensor, Tensor | null] {
    expectOptions("MultiheadAttention.forward", options, CALL_OPTIONS);
    expectKind("MultiheadAttention.forward", { query, key, value }, TENSOR);
    for (const [name, each] of Object.entries({ query, key, value }))
      if (each.ndim !== 3)
        throw new RangeError(`MultiheadAttention expects 3 dimensions, but the ${name} is [${each.shape.join(", ")}]`);
    const toSelf = query === key && query === value;
    const turn = (x: Tensor): Tensor => (this.#batchFirst ? x : x.transpose(0, 1));
    const { isCausal = false, needWeights = true } = options;
    const masked = (options.attnMask ?? options.keyPaddingMask) != null;
    const dropout = this.training ? this.#dropout : 0;
    if (toSelf && isCausal && !needWeights && !masked && dropout === 0) {
      const qkv = ops.aten.linear(turn(query), this.in_proj_weight, this.in_proj_bias);
      return [turn(this.out_proj.forward(ops.fused.causal_attention(qkv, this.#heads, 0))), null];
    }
    const [q, k, v] = this.#project(turn(query), turn(key), turn(value));
    const scores = q.mul(1 / Math.sqrt(q.shape[3]!)).matmul(k.transpose(2, 3)); // [B, H, L, S]
    const shares = this.#mask(scores, options).softmax(-1);
    const weights = this.training ? dropped(shares, this.#dropout) : shares;
    const mixed = weights.matmul(v); // [B, H, L, D]
    const out = this.out_proj.forward(mixed.transpose(1, 2).flatten(2));
    if (!needWeights) return [turn(out), null];
    return [turn(out), (options.averageAttnWeights ?? true) ? weights.mean([1]) : weights];
  }

  /** Each `[B, T, E]` → `[B, H, T, D]`. */
  #project(...inputs: [query: Tensor, key: Tensor, value: Tensor]): [Tensor, Tensor, Tensor] {
    const weights = this.in_proj_weight.chunk(3);
    const biases = this.in_proj_bias?.chunk(3);
    return inputs.map((x, i) => {
      const [B, T, E] = x.shape as [number, number, number];
      const projected = ops.aten.linear(x, weights[i]!, biases?.[i] ?? null);
      return projected.reshape([B, T, this.#heads, E / this.#heads]).transpose(1, 2);
    }) as [Tensor, Tensor, Tensor];
  }

  #mask(scores: Tensor, { attnMask, keyPaddingMask, isCausal = false }: AttentionCall): Tensor {
    const [B, H, L, S] = scores.shape as [number, number, number, number];
    const apply = (x: Tensor, mask: Tensor): Tensor =>
      mask.dtype === "bool" ? x.masked_fill(mask, Number.NEGATIVE_INFINITY) : x.add(mask);
    let masked = scores;
    if (isCausal) {
      const later = ops.aten.ones([L, S], { dtype: "bool", device: scores.device }).triu(1);
      masked = apply(masked, later);
    }
    if (attnMask != null) {
      checkMask("attnMask", attnMask, [L, S], [B * H, L, S]);
      masked = apply(masked, attnMask.ndim === 3 ? attnMask.view([B, H, L, S]) : attnMask);
    }
    if (keyPaddingMask != null) {
      checkMask("keyPaddingMask", keyPaddingMask, [B, S]);
      masked = apply(masked, keyPaddingMask.view([B, 1, 1, S]));
    }
    return masked;
  }
}

/** A mask that is turned or spread would hide other keys, and one of bytes would be added to the scores: both without a word. */
function checkMask(name: string, mask: Tensor, ...shapes: readonly (readonly number[])[]): void {
  const written = (shape: readonly number[]): string => `[${shape.join(", ")}]`;
  if (!shapes.map(written).includes(written(mask.shape)))
    throw new RangeError(
      `MultiheadAttention expects ${name} to be ${shapes.map(written).join(" or ")}, but got ${written(mask.shape)}`,
    );
  if (mask.dtype !== "bool" && !mask.is_floating_point())
    throw new TypeError(
      `MultiheadAttention expects ${name} of booleans, or of fractions that are added, but got ${mask.dtype}; convert it: mask.bool()`,
    );
}
