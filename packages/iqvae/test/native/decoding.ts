import { ops, type Tensor, tensor } from "@iqvae/torch";
import { wave } from "../../../torch/test/kernels-contract.ts";
import { blockedShape, blockKeys, packPanels } from "../../src/support/kernels.ts";

const { aten } = ops;

/** Layers, sequences, conditions, heads, features of a head, features of the perceptron, tokens of a condition, room of the cache. */
export interface Sizes {
  readonly L: number;
  readonly B: number;
  readonly N: number;
  readonly H: number;
  readonly D: number;
  readonly hidden: number;
  readonly P: number;
  readonly S: number;
  readonly codes: number;
}

/** The arguments of `decode_token`, in the order of its schema. */
export type Decoding = ReturnType<ReturnType<typeof decoding>>;

/** A transformer of arbitrary weights, and caches in use. */
export const decoding =
  ({ L, B, N, H, D, hidden, P, S, codes }: Sizes, dtype: "float32" | "bfloat16") =>
  () => {
    const C = H * D;
    let phase = 0;
    const vector = (size: number): Tensor => wave([size], ++phase);
    const panels = (O: number, I: number): Tensor => packPanels(wave([O, I], ++phase).mul(0.5).to(dtype));
    const each = (...shape: number[]): Tensor[] => Array.from({ length: L }, () => wave(shape, ++phase).to(dtype));
    const layer = (): Tensor[] => [
      ...[vector(C), vector(C), panels(3 * C, C), vector(3 * C), panels(C, C), vector(C)],
      ...[vector(C), vector(C), panels(hidden, C), vector(hidden), panels(C, hidden), vector(C)],
    ];
    return {
      x: wave([B, C], 0.1),
      weights: [...Array.from({ length: L }, layer).flat(), vector(C), vector(C), panels(codes, C)],
      prefixKeys: each(N, H, P, D).map((keys) => blockKeys(keys).contiguous()),
      prefixValues: each(N, H, P, D),
      keys: each(...blockedShape([B, H, S, D])),
      values: each(B, H, S, D),
      of: tensor(BigInt64Array.from({ length: B }, (_, b) => BigInt(b % Math.max(N, 1)))),
      position: Math.floor(S / 2),
      codes,
      eps: 1e-5,
    };
  };

/** The weight that panels were made of, without what fills them up: in bfloat16 two inputs lie side by side. */
export function unpacked(panels: Tensor, outputs: number, inputs: number): Tensor {
  const [count, , lines, width] = panels.shape as [number, number, number, number];
  const together = width / 16;
  return panels
    .reshape([count, 2, lines, 16, together])
    .transpose(2, 3)
    .reshape([count * 32, lines * together])
    .slice(0, 0, outputs)
    .slice(1, 0, inputs);
}

/** The keys `[·, H, T, D]` that blocks hold. */
const unblocked = (blocks: Tensor): Tensor => blocks.transpose(3, 4).flatten(2, 3);

/** To bfloat16, as what enters a product with a weight of it. */
export const rounded = (x: Tensor): Tensor => x.to("bfloat16").to(x.dtype);

/** The same from plain operators: logits, keys, values. The own caches are written. */
export function decodedPlainly(given: Decoding): Tensor[] {
  const { x, weights, prefixKeys, prefixValues, keys, values, of, position, codes, eps } = given;
  const [B, C] = x.shape as [number, number];
  const [, H, , D] = values[0]!.shape as [number, number, number, number];
  const P = prefixValues[0]?.shape[2] ?? 0;
  let at = 0;
  const normal = (input: Tensor): Tensor => aten.layer_norm(input, [C], weights[at++]!, weights[at++]!, eps);
  const linear = (input: Tensor, outputs?: number): Tensor => {
    const panels = weights[at++]!;
    const bias = outputs === undefined ? weights[at++]! : null;
    const weight = unpacked(panels, outputs ?? bias!.shape[0]!, input.shape.at(-1)!);
    return aten.linear(panels.shape[3] === 32 ? rounded(input) : input, weight, bias);
  };
  let stream = x;
  keys.forEach((own, l) => {
    const [q, k, v] = linear(normal(stream)).reshape([B, 3, H, D]).unbind(1) as [Tensor, Tensor, Tensor];
    own
      .select(2, Math.floor(position / 32))
      .select(3, position % 32)
      .copy_(k);
    values[l]!.select(2, position).copy_(v);
    const all = (prefix: Tensor, past: Tensor) =>
      aten.cat([prefix.slice(2, 0, P).index_select(0, of), past.slice(2, 0, position + 1)], 2);
    const scores = q
      .unsqueeze(2)
      .div(Math.sqrt(D))
      .matmul(all(unblocked(prefixKeys[l]!), unblocked(own)).transpose(2, 3));
    const mixed = scores.softmax(-1).matmul(all(prefixValues[l]!, values[l]!));
    stream = stream.add(linear(mixed.reshape([B, C])));
    stream = stream.add(linear(linear(normal(stream)).gelu()));
  });
  return [linear(normal(stream), codes), ...keys, ...values];
}
