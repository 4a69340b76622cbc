import { ops, type Tensor, tensor } from "@iqvae/torch";
import { native } from "../src/native.ts";
import { describeKernels, type Kernel, wave } from "./kernels-contract.ts";

const { aten } = ops;

const ours = native.operatorNames().filter((name) => name.startsWith("fused::"));

const groupNorm = (B: number, C: number, H: number, W: number, groups: number, silu: boolean) => () => ({
  x: wave([B, C, H, W]).mul(2),
  weight: wave([C], 0.1),
  bias: wave([C], 0.7),
  groups,
  eps: 1e-5,
  silu,
});

const attention = (B: number, T: number, heads: number, D: number, first: number) => () => ({
  qkv: wave([B, T, 3 * heads * D]).mul(2),
  heads,
  first,
});

const dropout = (shape: readonly number[], residual: boolean, p: number) => () => ({
  x: wave(shape).add(3),
  residual: residual ? wave(shape, 0.1) : null,
  p,
});

/** A list of tensors with one of each shape. */
const list = (shapes: readonly number[][], phase: number): Tensor[] => shapes.map((shape, i) => wave(shape, phase + i));

const adamw = (shapes: readonly number[][], scale: boolean) => () => ({
  parameters: list(shapes, 0.1),
  gradients: list(shapes, 0.2),
  firsts: list(shapes, 0.3),
  seconds: list(shapes, 0.4).map((x) => x.square().add(0.1)),
  scale: scale ? tensor(0.5) : null,
  rate: 0.1,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  decay: 0.1,
  steps: shapes.map((_, i) => i + 1),
});

const LISTS = [[], [[3]], [[2, 3], [5]], [[0], [33, 2], []], [[2, 3, 4, 5], [17]]];

const conv = (B: number, C: number, K: number, H: number, W: number, kernel: number, bias: boolean) => () => ({
  x: wave([B, C, H, W], 0.1),
  weight: wave([K, C, kernel, kernel], 0.2),
  bias: bias ? wave([K], 0.3) : null,
  stride: [1, 1],
  padding: [1, 1],
});

const kernels: Readonly<Record<string, Kernel>> = {
  "fused::conv2d": {
    sizes: [conv(1, 32, 33, 3, 5, 3, true), conv(2, 3, 4, 4, 4, 3, false), conv(1, 2, 3, 3, 3, 1, true)],
    compose: ({ x, weight, bias, stride, padding }) => [aten.conv2d(x, weight, bias, stride, padding)],
  },
  "fused::group_norm_silu": {
    sizes: [
      groupNorm(2, 6, 3, 5, 3, true),
      groupNorm(1, 5, 1, 7, 1, false),
      groupNorm(3, 17, 2, 2, 17, true),
      groupNorm(0, 4, 2, 2, 2, true),
    ],
    compose: ({ x, weight, bias, groups, eps, silu }) => {
      const [B, C, H, W] = x.shape;
      const grouped = x.reshape([B, groups, (C / groups) * H * W]);
      const centered = grouped.sub(grouped.mean([2], true));
      const normal = centered.div(centered.square().mean([2], true).add(eps).sqrt()).reshape([B, C, H, W]);
      const y = normal.mul(weight.reshape([C, 1, 1])).add(bias.reshape([C, 1, 1]));
      return [silu ? y.silu() : y];
    },
  },
  "fused::causal_attention": {
    sizes: [
      attention(2, 5, 3, 4, 0),
      attention(1, 150, 2, 3, 0), // more than one block of queries
      attention(1, 70, 1, 2, 3),
      attention(2, 7, 2, 1, 6),
      attention(0, 4, 1, 2, 0),
    ],
    compose: ({ qkv, heads, first }) => {
      const [B, T, C] = [qkv.shape[0], qkv.shape[1], qkv.shape[2] / 3];
      const [q, k, v] = qkv
        .reshape([B, T, 3, heads, C / heads])
        .permute([2, 0, 3, 1, 4])
        .unbind(0);
      const hidden = aten.full([T, T], -Infinity, { dtype: "float64" }).triu(1);
      const scores = q
        .matmul(k.transpose(2, 3))
        .div(Math.sqrt(C / heads))
        .add(hidden);
      const mixed = scores.softmax(-1).matmul(v).slice(2, first);
      return [mixed.transpose(1, 2).reshape([B, T - first, C])];
    },
  },
  "fused::dropout_add": {
    sizes: [
      dropout([3, 7], true, 0.5),
      dropout([33], false, 0.9),
      dropout([2, 0], true, 0.5),
      dropout([5], true, 0),
      dropout([6, 6], true, 1 - 1e-9),
    ],
    compose: ({ x, residual, p }, [y]) => {
      const beside = residual?.to("float64") ?? 0;
      const kept = x.div(1 - p);
      const change = y!.to("float64").sub(beside);
      const mask = change.abs().gt(kept.abs().div(2)).to("float64");
      return [kept.mul(mask).add(beside)];
    },
  },
  "fused::adamw_": {
    sizes: LISTS.flatMap((shapes) => [adamw(shapes, true), adamw(shapes, false)]),
    written: ["parameters", "firsts", "seconds"],
    compose: ({ parameters, gradients, firsts, seconds, scale, rate, beta1, beta2, eps, decay, steps }) => {
      const scaled = gradients.map((gradient: Tensor) => (scale === null ? gradient : gradient.mul(scale.sum())));
      const m = firsts.map((x: Tensor, i: number) => x.mul(beta1).add(scaled[i].mul(1 - beta1)));
      const v = seconds.map((x: Tensor, i: number) => x.mul(beta2).add(scaled[i].square().mul(1 - beta2)));
      const p = parameters.map((x: Tensor, i: number) => {
        const [first, second] = [m[i].div(1 - beta1 ** steps[i]), v[i].div(1 - beta2 ** steps[i])];
        return x.mul(1 - rate * decay).sub(first.div(second.sqrt().add(eps)).mul(rate));
      });
      return [...p, ...m, ...v];
    },
  },
  "fused::lerp_": {
    sizes: LISTS.map((shapes) => () => ({ averages: list(shapes, 0.1), targets: list(shapes, 0.2), weight: 0.3 })),
    written: ["averages"],
    compose: ({ averages, targets, weight }) =>
      averages.map((x: Tensor, i: number) => x.add(targets[i].sub(x).mul(weight))),
  },
  "fused::global_norm": {
    sizes: LISTS.map((shapes) => () => ({ tensors: list(shapes, 0.1) })),
    compose: ({ tensors }) => {
      const squares = tensors.map((x: Tensor) => x.square().sum());
      return [squares.length === 0 ? tensor(0) : aten.stack(squares).sum().sqrt()];
    },
  },
};

describeKernels(ours, kernels);
