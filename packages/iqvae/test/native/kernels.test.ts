import { ops, type Tensor, tensor } from "@iqvae/torch";
import { native } from "../../../torch/src/native.ts";
import { describeKernels, type Kernel, wave } from "../../../torch/test/kernels-contract.ts";
import { matchingCosts } from "../../src/regularizer/sliced.ts";
import { loadKernels, packPanels } from "../../src/support/kernels.ts";

const { aten } = ops;

loadKernels();
const ours = native.operatorNames().filter((name) => name.startsWith("iqvae::"));

interface Sizes {
  L: number;
  B: number;
  N: number;
  H: number;
  D: number;
  hidden: number;
  P: number;
  S: number;
  codes: number;
}

/** A transformer of random weights, and caches in use. */
const decoding =
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
      prefixKeys: each(N, H, D, P),
      prefixValues: each(N, H, P, D),
      keys: each(B, H, D, S),
      values: each(B, H, S, D),
      of: tensor(BigInt64Array.from({ length: B }, (_, b) => BigInt(b % Math.max(N, 1)))),
      position: Math.floor(S / 2),
      codes,
      eps: 1e-5,
    };
  };

/** The weight that panels were made of. */
const unpacked = (panels: Tensor, outputs: number): Tensor =>
  panels
    .transpose(1, 2)
    .reshape([panels.shape[0]! * 32, panels.shape[1]!])
    .slice(0, 0, outputs);

const kernels: Readonly<Record<string, Kernel>> = {
  "iqvae::decode_token": {
    sizes: [
      decoding({ L: 1, B: 3, N: 2, H: 2, D: 5, hidden: 33, P: 7, S: 4, codes: 40 }, "float32"),
      decoding({ L: 1, B: 2, N: 3, H: 1, D: 16, hidden: 3, P: 0, S: 1, codes: 1 }, "bfloat16"),
      decoding({ L: 1, B: 0, N: 1, H: 1, D: 4, hidden: 4, P: 2, S: 2, codes: 3 }, "float32"),
    ],
    written: ["keys", "values"],
    compose: ({ x, weights, prefixKeys, prefixValues, keys, values, of, position, codes, eps }) => {
      const [B, C] = x.shape;
      const [, H, D] = keys[0].shape;
      let at = 0;
      const normal = (input: Tensor): Tensor => aten.layer_norm(input, [C], weights[at++], weights[at++], eps);
      const linear = (input: Tensor, outputs?: number): Tensor => {
        const panels = weights[at++];
        const bias = outputs === undefined ? weights[at++] : null;
        return aten.linear(input, unpacked(panels, outputs ?? bias.shape[0]), bias);
      };
      let stream = x;
      keys.forEach((own: Tensor, l: number) => {
        const [q, k, v] = linear(normal(stream)).reshape([B, 3, H, D]).unbind(1) as [Tensor, Tensor, Tensor];
        own.select(3, position).copy_(k);
        values[l].select(2, position).copy_(v);
        const all = (prefix: Tensor, past: Tensor, time: number) =>
          aten.cat([prefix.index_select(0, of), past.slice(time, 0, position + 1)], time);
        const scores = q
          .unsqueeze(2)
          .div(Math.sqrt(D))
          .matmul(all(prefixKeys[l], own, 3));
        const mixed = scores.softmax(-1).matmul(all(prefixValues[l], values[l], 2));
        stream = stream.add(linear(mixed.reshape([B, C])));
        stream = stream.add(linear(linear(normal(stream)).gelu()));
      });
      return [linear(normal(stream), codes), ...keys, ...values];
    },
  },
  "iqvae::pack_panels": {
    sizes: [
      [3, 5],
      [32, 4],
      [65, 1],
      [0, 3],
      [2, 0],
    ].map((shape) => () => ({ weight: wave(shape) })),
    compose: ({ weight }) => {
      const [O, I] = weight.shape;
      const panels = Math.ceil(O / 32);
      const padded = aten.cat([weight, weight.new_zeros([panels * 32 - O, I])]);
      return [padded.reshape([panels, 32, I]).transpose(1, 2)];
    },
  },
  "iqvae::sliced_gw": {
    sizes: [
      [1, 1],
      [3, 17],
      [2, 64],
    ].map((shape) => () => ({ x: wave(shape, 0.1), y: wave(shape, 0.2) })),
    compose: ({ x, y }) => matchingCosts(x, y),
  },
};

describeKernels(ours, kernels);
