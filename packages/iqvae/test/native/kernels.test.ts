import { ops, type Tensor, tensor } from "@iqvae/torch";
import { native } from "../../../torch/src/native.ts";
import { describeKernels, type Kernel, wave } from "../../../torch/test/kernels-contract.ts";
import { matchingCosts } from "../../src/regularizer/sliced.ts";
import { loadKernels, packPanels } from "../../src/support/kernels.ts";

const { aten } = ops;

loadKernels();
const ours = native.operatorNames().filter((name) => name.startsWith("iqvae::"));

const attention =
  (B: number, N: number, H: number, D: number, P: number, S: number, dtype: "float32" | "bfloat16") => () => ({
    qkv: wave([B, 3 * H * D], 0.1),
    prefixKeys: wave([N, H, D, P], 0.2).to(dtype),
    prefixValues: wave([N, H, P, D], 0.3).to(dtype),
    keys: wave([B, H, D, S], 0.4).to(dtype),
    values: wave([B, H, S, D], 0.5).to(dtype),
    of: tensor(BigInt64Array.from({ length: B }, (_, b) => BigInt(b % N))),
    position: Math.floor(S / 2),
  });

const addNorm = (B: number, C: number, y: boolean) => () => ({
  x: wave([B, C], 0.1),
  y: y ? wave([B, C], 0.2) : null,
  weight: wave([C], 0.3),
  bias: wave([C], 0.4),
  eps: 1e-5,
});

const linear =
  (B: number, I: number, O: number, bias: boolean, gelu: boolean, dtype: "float32" | "bfloat16") => () => ({
    x: wave([B, I], 0.1),
    panels: packPanels(wave([O, I], 0.2)).to(dtype),
    bias: bias ? wave([O], 0.3) : null,
    outputs: O,
    gelu,
  });

/** The weight that panels were made of. */
const unpacked = (panels: Tensor, outputs: number): Tensor =>
  panels
    .transpose(1, 2)
    .reshape([panels.shape[0]! * 32, panels.shape[1]!])
    .slice(0, 0, outputs);

const kernels: Readonly<Record<string, Kernel>> = {
  "iqvae::decode_attention": {
    sizes: [
      attention(2, 3, 2, 5, 7, 4, "float32"),
      attention(3, 1, 1, 17, 33, 6, "bfloat16"),
      attention(1, 1, 2, 4, 0, 1, "float32"),
      attention(0, 2, 2, 4, 3, 2, "float32"),
    ],
    written: ["keys", "values"],
    compose: ({ qkv, prefixKeys, prefixValues, keys, values, of, position }) => {
      const [B, H, D] = keys.shape;
      const [q, k, v] = qkv.reshape([B, 3, H, D]).unbind(1);
      keys.select(3, position).copy_(k);
      values.select(2, position).copy_(v);
      const all = (prefix: Tensor, own: Tensor, time: number) =>
        aten.cat([prefix.index_select(0, of), own.slice(time, 0, position + 1)], time);
      const scores = q
        .unsqueeze(2)
        .div(Math.sqrt(D))
        .matmul(all(prefixKeys, keys, 3));
      const out = scores.softmax(-1).matmul(all(prefixValues, values, 2));
      return [out.reshape([B, H * D]), keys, values];
    },
  },
  "iqvae::add_norm_": {
    sizes: [addNorm(3, 5, true), addNorm(2, 33, false), addNorm(1, 16, true), addNorm(0, 4, true)],
    written: ["x"],
    compose: ({ x, y, weight, bias, eps }) => {
      const sum = y === null ? x : x.add(y);
      return [aten.layer_norm(sum, [x.shape[1]], weight, bias, eps), sum];
    },
  },
  "iqvae::panel_linear": {
    sizes: [
      linear(1, 5, 3, true, false, "float32"),
      linear(9, 17, 33, true, true, "bfloat16"),
      linear(4, 3, 64, false, false, "float32"),
      linear(0, 3, 2, true, true, "float32"),
      linear(2, 0, 3, true, false, "float32"),
    ],
    compose: ({ x, panels, bias, outputs, gelu }) => {
      const y = aten.linear(x, unpacked(panels, outputs), bias);
      return [gelu ? y.gelu() : y];
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
