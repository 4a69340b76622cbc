import { ops } from "@iqvae/torch";
import { native } from "../../../torch/src/native.ts";
import { describeKernels, type Kernel, wave } from "../../../torch/test/kernels-contract.ts";
import { matchingCosts } from "../../src/regularizer/sliced.ts";
import { loadKernels, packPanels } from "../../src/support/kernels.ts";
import { decodedPlainly, decoding, rounded, unpacked } from "./decoding.ts";

const { aten } = ops;

loadKernels();
const ours = native.operatorNames().filter((name) => name.startsWith("iqvae::"));

const kernels: Readonly<Record<string, Kernel>> = {
  "iqvae::decode_token": {
    sizes: [
      decoding({ L: 1, B: 3, N: 2, H: 2, D: 5, hidden: 33, P: 7, S: 4, codes: 40 }, "float32"),
      decoding({ L: 1, B: 2, N: 3, H: 1, D: 16, hidden: 3, P: 0, S: 1, codes: 1 }, "bfloat16"),
      decoding({ L: 1, B: 0, N: 1, H: 1, D: 4, hidden: 4, P: 2, S: 2, codes: 3 }, "float32"),
    ],
    written: ["keys", "values"],
    compose: decodedPlainly,
  },
  "iqvae::pack_panels": {
    sizes: [
      [3, 5],
      [32, 4],
      [65, 1],
      [0, 3],
      [2, 0],
    ].flatMap((shape) => [1, 2].map((together) => () => ({ weight: wave(shape), together }))),
    compose: ({ weight, together }) => {
      const [O, I] = weight.shape;
      const [panels, lines] = [Math.ceil(O / 32), Math.ceil(I / together)];
      const filled = weight.new_zeros([panels * 32, lines * together]);
      filled.slice(0, 0, O).slice(1, 0, I).copy_(weight);
      const parts = filled.reshape([panels, 2, 16, lines, together]).transpose(2, 3);
      return [parts.reshape([panels, 2, lines, 16 * together])];
    },
  },
  "iqvae::panel_linear": {
    sizes: [
      { shape: [3, 70, 5], outputs: 33, gelu: true },
      { shape: [2, 16], outputs: 1, gelu: false },
      { shape: [0, 4], outputs: 3, gelu: false },
      { shape: [3, 70, 5], outputs: 33, gelu: true, dtype: "bfloat16" as const },
      { shape: [2, 16], outputs: 1, gelu: false, dtype: "bfloat16" as const },
    ].map(({ shape, outputs, gelu, dtype = "float32" as const }) => () => ({
      x: wave(shape),
      panels: packPanels(wave([outputs, shape.at(-1)!], 2).to(dtype)),
      bias: gelu ? wave([outputs], 3) : null,
      outputs,
      gelu,
    })),
    compose: ({ x, panels, bias, outputs, gelu }) => {
      const entered = panels.shape[3] === 32 ? rounded(x) : x;
      const product = aten.linear(entered, unpacked(panels, outputs, x.shape.at(-1)!), bias);
      return [gelu ? product.gelu() : product];
    },
  },
  "iqvae::in_large_pages": {
    sizes: [
      () => ({ tensors: [wave([2, 3]), wave([0, 4]), wave([]), wave([700, 1000])] }),
      () => ({ tensors: [wave([5])] }),
    ],
    compose: ({ tensors }) => tensors,
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
