import { grad, manualSeed, ops, scope, type Tensor } from "@iqvae/torch";
import fc from "fast-check";
import { expect, test } from "vitest";

const { aten, fused } = ops;

/** Attention as it is defined, from libtorch's operators. */
function composed(qkv: Tensor, heads: number, first: number): Tensor {
  const [B, T, C3] = qkv.shape as [number, number, number];
  const D = C3 / 3 / heads;
  const [q, k, v] = qkv.reshape([B, T, 3, heads, D]).permute([2, 0, 3, 1, 4]).unbind(0) as [Tensor, Tensor, Tensor];
  const hidden = aten.full([T, T], -Infinity, { dtype: qkv.dtype }).triu(1);
  const scores = q.matmul(k.transpose(2, 3)).div(Math.sqrt(D)).add(hidden);
  return scores
    .softmax(-1)
    .matmul(v)
    .slice(2, first)
    .transpose(1, 2)
    .reshape([B, T - first, heads * D]);
}

const largest = (difference: Tensor): number => difference.abs().max().item();

test("output and gradient are those of the composed form in float64, in any shape", () => {
  manualSeed(0);
  const small = (max: number) => fc.integer({ min: 1, max });
  fc.assert(
    fc.property(
      small(3),
      small(200),
      small(3),
      small(9),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (B, T, H, D, at) =>
        scope(() => {
          const first = Math.min(T - 1, Math.floor(at * T));
          const qkv = aten.randn([B, T, 3 * H * D]).requires_grad_();
          const exact = qkv.detach().to("float64").requires_grad_();
          const [y, expected] = [fused.causal_attention(qkv, H, first), composed(exact, H, first)];
          expect(y.shape).toEqual([B, T - first, H * D]);
          expect(largest(y.sub(expected))).toBeLessThan(2e-5);
          const weights = aten.randn(y.shape);
          const [dqkv] = grad([y.mul(weights).sum()], [qkv]);
          const [wanted] = grad([expected.mul(weights).sum()], [exact]);
          expect(largest(dqkv!.sub(wanted!))).toBeLessThan(2e-4);
        }),
    ),
    { numRuns: 40 },
  );
});

test("what comes later changes nothing, to the bit, in output and gradient", () =>
  scope(() => {
    const [T, seen] = [130, 100];
    const qkv = aten.randn([1, T, 3 * 8]);
    const changed = aten.cat([qkv.slice(1, 0, seen), aten.randn([1, T - seen, 3 * 8])], 1);
    const [one, other] = [qkv, changed].map((x) => fused.causal_attention(x, 2, 0).slice(1, 0, seen)) as [
      Tensor,
      Tensor,
    ];
    expect(one.equal(other)).toBe(true);
    const leaf = qkv.requires_grad_();
    const [dqkv] = grad([fused.causal_attention(leaf, 2, 0).slice(1, 0, seen).sum()], [leaf]);
    expect(largest(dqkv!.slice(1, seen))).toBe(0);
  }));

test("a second derivative is refused", () =>
  scope(() => {
    const qkv = aten.randn([1, 3, 6]).requires_grad_();
    const y = fused.causal_attention(qkv, 1, 0).sum();
    expect(() => grad([y], [qkv], { createGraph: true })).toThrow(/causal_attention.*createGraph.*needWeights: true/);
  }));
