import { buffer, callOperator, type DType, hasOperator, Linear, Module, ops, type Tensor } from "@iqvae/torch";

/**
 * Additive causal masks by size, type and device: row `i` is 0 at columns `0 … i` and −∞ after. They live as long as the
 * program: a model asks for the same one in every layer of every step.
 */
const masks = new Map<string, Tensor>();

export function causalMask(tokens: number, dtype: DType, device: string): Tensor {
  const key = `${tokens} ${dtype} ${device}`;
  let mask = masks.get(key);
  if (mask === undefined) {
    mask = buffer(() => ops.aten.full([tokens, tokens], -Infinity, { device }).triu(1).to(dtype));
    masks.set(key, mask);
  }
  return mask;
}

/**
 * Causal multi-head self-attention (Vaswani et al. 2017, section 3.2), queries, keys and values from one product.
 *
 * In float32 on the CPU it is a fused kernel of ours (docs/performance.md), on CUDA libtorch's where there is one, and else the
 * plain form with scale and mask folded into the product of queries and keys.
 */
export class CausalAttention extends Module {
  readonly qkv: Linear;
  readonly project: Linear;
  readonly heads: number;
  readonly width: number;

  constructor(width: number, heads: number) {
    super();
    this.width = width;
    this.heads = heads;
    this.qkv = new Linear(width, 3 * width);
    this.project = new Linear(width, width);
  }

  /**
   * @param x `[B, T, C]`
   * @param first the first position whose output is wanted
   * @returns `[B, T − first, C]`
   */
  forward(x: Tensor, first = 0): Tensor {
    const [B, T, C] = x.shape as [number, number, number];
    const qkv = this.qkv.forward(x);
    if (qkv.dtype === "float32" && !qkv.device.startsWith("cuda"))
      return this.project.forward(ops.fused.causal_attention(qkv, this.heads, first));
    const [q, k, v] = splitHeads(qkv, this.heads);
    const mixed = attend(first === 0 ? q : q.slice(2, first, T), k, v); // [B, H, T − first, D]
    return this.project.forward(mixed.transpose(1, 2).reshape([B, T - first, C]));
  }
}

/** `[B, T, 3·C]` → queries, keys and values, each `[B, H, T, D]`. */
export function splitHeads(qkv: Tensor, heads: number): [Tensor, Tensor, Tensor] {
  const [B, T, C3] = qkv.shape as [number, number, number];
  const parts = qkv.reshape([B, T, 3, heads, C3 / 3 / heads]).permute([2, 0, 3, 1, 4]);
  return parts.unbind(0) as [Tensor, Tensor, Tensor];
}

/** Attention of the last `n` of `T` positions: `q [B, H, n, D]`, `k` and `v` `[B, H, T, D]` → `[B, H, n, D]`. */
export function attend(q: Tensor, k: Tensor, v: Tensor): Tensor {
  const n = q.shape[2]!;
  const T = k.shape[2]!;
  if (n === T && n > 1 && isFused(q))
    return callOperator("aten::scaled_dot_product_attention", q, k, v, null, 0, true) as Tensor;
  // The last position looks at all.
  return attendWhere(q, k, v, n === 1 ? null : causalMask(T, q.dtype, q.device).slice(0, T - n, T));
}

/** The same with an additive mask `[n, T]` of the queries' dtype, or none. */
export function attendWhere(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null): Tensor {
  const [B, H, n, D] = q.shape as [number, number, number, number];
  const T = k.shape[2]!;
  if (isFused(q)) return callOperator("aten::scaled_dot_product_attention", q, k, v, mask, 0, false) as Tensor;
  const [queries, keys] = [q.reshape([B * H, n, D]), k.reshape([B * H, T, D]).transpose(1, 2)];
  const alpha = 1 / Math.sqrt(D);
  const scores =
    mask === null
      ? queries.mul(alpha).bmm(keys)
      : ops.aten.baddbmm(mask.expand([B * H, n, T]), queries, keys, { alpha });
  return scores
    .softmax(-1)
    .bmm(v.reshape([B * H, T, D]))
    .view([B, H, n, D]);
}

/** Whether libtorch has one operator for all of it. */
function isFused({ device }: Tensor): boolean {
  return device.startsWith("cuda") && hasOperator("aten::scaled_dot_product_attention");
}
