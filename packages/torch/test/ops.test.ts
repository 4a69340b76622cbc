import { callOperator, hasOperator, ops, scope, type Tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { expectClose, type GoldenCase, readGoldens } from "./goldens.ts";

const { aten } = ops;
type Outputs = Tensor | readonly Tensor[];
type Case = (x: Tensor, y: Tensor, z: Tensor) => Outputs;

const ATTENTION = "aten::scaled_dot_product_attention";
const MEAN = 1;
const SUM = 2;

function attention(q: Tensor, k: Tensor, v: Tensor, causal = false): Tensor {
  const [T, d] = q.shape.slice(-2) as [number, number];
  const scores = q.matmul(k.transpose(-2, -1)).div(Math.sqrt(d));
  const future = aten.ones([T, T], { dtype: "bool" }).triu(1);
  return (causal ? scores.masked_fill(future, Number.NEGATIVE_INFINITY) : scores).softmax(-1).matmul(v);
}

/** The same names and the same order as in tools/golden_ops.py, which says what each must give. */
const cases: Record<string, Case> = {
  conv2d: (x, w, b) => aten.conv2d(x, w, b),
  "conv2d stride 2 padding 1": (x, w, b) => aten.conv2d(x, w, b, { stride: 2, padding: [1, 1] }),
  "conv2d stride and padding by axis": (x, w) => aten.conv2d(x, w, null, [1, 2], [2, 0]),
  "conv2d groups": (x, w, b) => aten.conv2d(x, w, b, { padding: [1, 1], groups: 2 }),
  "conv2d depthwise dilated": (x, w) => aten.conv2d(x, w, null, { padding: 2, dilation: 2, groups: 4 }),
  "conv2d 1x1": (x, w, b) => aten.conv2d(x, w, b),
  "conv2d channels_last": (x, w, b) => {
    const last = (t: Tensor) => t.contiguous({ memory_format: "channels_last" });
    return aten.conv2d(last(x), last(w), b, { padding: [1, 1] });
  },
  conv1d: (x, w, b) => aten.conv1d(x, w, b, { stride: 2, padding: 1 }),
  conv_transpose2d: (x, w, b) => aten.conv_transpose2d(x, w, b, { stride: 2, padding: 1, output_padding: 1 }),
  pixel_shuffle: (x) => x.pixel_shuffle(2),
  pixel_unshuffle: (x) => x.pixel_unshuffle(2),
  upsample_nearest2d: (x) => aten.upsample_nearest2d(x, [6, 8]),
  upsample_bilinear2d: (x) => aten.upsample_bilinear2d(x, [7, 9], false),
  "upsample_bilinear2d smaller": (x) => aten.upsample_bilinear2d(x, [3, 3], false),
  upsample_bicubic2d: (x) => aten.upsample_bicubic2d(x, [6, 6], false),
  avg_pool2d: (x) => aten.avg_pool2d(x, 2),
  "avg_pool2d padded": (x) => aten.avg_pool2d(x, 3, { stride: 2, padding: 1, count_include_pad: false }),
  adaptive_avg_pool2d: (x) => aten.adaptive_avg_pool2d(x, 1),
  max_pool2d: (x) => aten.max_pool2d(x, [2, 2]),
  "pad constant": (x) => x.constant_pad_nd([1, 2, 0, 1], 0.5),
  "pad reflect": (x) => x.reflection_pad2d([1, 2, 2, 1]),
  unfold: (x) => aten.im2col(x, 3, 1, 1, 1),
  flip: (x) => x.flip([3]),
  roll: (x) => x.roll([1, -1], [0, 1]),

  linear: (x, w, b) => aten.linear(x, w, b),
  "linear without bias": (x, w) => aten.linear(x, w),
  mm: (a, b) => a.mm(b),
  "matmul broadcast": (a, b) => a.matmul(b),
  "matmul vector": (a, b) => a.matmul(b),
  bmm: (a, b) => a.bmm(b),
  addmm: (c, a, b) => c.addmm(a, b, { beta: 0.5, alpha: 2 }),
  baddbmm: (c, a, b) => c.baddbmm(a, b, { alpha: 0.25 }),
  outer: (a, b) => a.outer(b),
  dot: (a, b) => a.dot(b),
  einsum: (a, b) => aten.einsum("bij,bkj->bik", [a, b]),
  "einsum three": (a, b, c) => aten.einsum("ij,jk,lk->il", [a, b, c]),
  cdist: (a, b) => aten.cdist(a, b),
  attention: (q, k, v) => attention(q, k, v),
  "attention causal": (q, k, v) => attention(q, k, v, true),

  embedding: (w, n) => aten.embedding(w, n),
  index_select: (x, n) => x.index_select(1, n),
  gather: (x, n) => x.gather(1, n),
  index: (x, a, b) => x.index([a, b]),
  "index of second dimension": (x, n) => x.index([null, n]),
  index_put: (x, n, v) => x.index_put([n], v),
  "index_put accumulate": (x, n, v) => x.index_put([n], v, { accumulate: true }),
  index_add: (x, n, v) => x.index_add(0, n, v, { alpha: 2 }),
  scatter: (x, n, v) => x.scatter(1, n, v),
  scatter_add: (x, n, v) => x.scatter_add(0, n, v),
  one_hot: (n) => n.one_hot(5),
  bincount: (n) => n.bincount({ minlength: 6 }),
  sort: (x) => x.sort(-1),
  "sort descending": (x) => x.sort(0, true),
  argsort: (x) => x.argsort(-1),
  topk: (x) => x.topk(3, -1),
  argmax: (x) => x.argmax(1),
  "argmin keepdim": (x) => x.argmin(0, { keepdim: true }),
  unique: (n) => aten._unique2(n, true, true, true),
  searchsorted: (s, x) => aten.searchsorted(s, x),
  nonzero: (x) => x.gt(0).nonzero(),

  cat: (a, b) => aten.cat([a, b], 1),
  stack: (a, b) => aten.stack([a, b], -1),
  split: (x) => x.split(2, 1),
  split_with_sizes: (x) => x.split_with_sizes([1, 3, 2], 0),
  chunk: (x) => x.chunk(3, -1),
  unbind: (x) => x.unbind(1),
  permute: (x) => x.permute([2, 0, 1]).contiguous(),
  transpose: (x) => x.transpose(1, 2).mul(2),
  reshape: (x) => x.reshape([4, -1]),
  "view flatten": (x) => x.flatten(1),
  squeeze: (x) => x.squeeze(1).unsqueeze(0),
  expand: (x) => x.expand([3, 2, 4]),
  repeat: (x) => x.repeat([2, 3]),
  repeat_interleave: (x) => x.repeat_interleave(3, 0),
  slice: (x) => x.slice(1, 1, 5, 2),
  select: (x) => x.select(1, 2),
  narrow: (x) => x.narrow(0, 1, 2),
  tril: (x) => x.tril(-1),
  triu: (x) => x.triu(1),
  diagonal: (x) => x.diagonal(),
  where: (x, y) => aten.where(x.gt(0), x, y),
  masked_fill: (x, y) => x.masked_fill(y.gt(0), -1.5),
  masked_select: (x, y) => x.masked_select(y.gt(0)),

  layer_norm: (x, w, b) => aten.layer_norm(x, [6], w, b, 1e-5),
  "layer_norm plain": (x) => aten.layer_norm(x, [3, 6]),
  group_norm: (x, w, b) => aten.group_norm(x, 2, w, b, 1e-5),
  "group_norm silu": (x, w, b) => aten.group_norm(x, 2, w, b, { eps: 1e-5 }).silu(),
  batch_norm: (x, w, b) => aten.batch_norm(x, w, b, null, null, true, 0.1, 1e-5, false),
  softmax: (x) => x.softmax(-1),
  "softmax with -inf": (x) => {
    const above = aten.ones([4, 4]).triu(1).to("bool");
    return x.masked_fill(above, Number.NEGATIVE_INFINITY).softmax(-1);
  },
  log_softmax: (x) => x.log_softmax(1),
  logsumexp: (x) => x.logsumexp([1]),
  normalize: (x) => x.div(x.norm(2, [1], true).clamp_min(1e-12)),
  linalg_vector_norm: (x) => x.linalg_vector_norm(2, [1], true),
  "linalg_vector_norm 1": (x) => x.linalg_vector_norm(1),
  norm: (x) => x.norm(),
  gelu: (x) => x.gelu(),
  "gelu tanh": (x) => x.gelu({ approximate: "tanh" }),
  silu: (x) => x.silu(),
  relu: (x) => x.relu(),
  leaky_relu: (x) => x.leaky_relu(0.2),
  softplus: (x) => x.softplus(),
  logsigmoid: (x) => x.log_sigmoid(),
  elu: (x) => x.elu(),
  hardtanh: (x) => x.hardtanh(),
  glu: (x) => x.glu(-1),
  tanh: (x) => x.tanh(),
  sigmoid: (x) => x.sigmoid(),

  cross_entropy: (x, y) => x.cross_entropy_loss(y),
  "cross_entropy ignored, smoothed": (x, y) => x.cross_entropy_loss(y, null, MEAN, 2, 0.1),
  "cross_entropy of maps, weighted, summed": (x, y, w) =>
    x.cross_entropy_loss(y, { weight: w.detach(), reduction: SUM }),
  "cross_entropy of distributions": (x, y) => x.cross_entropy_loss(y.softmax(1)),
  nll_loss: (x, y) => x.log_softmax(1).nll_loss(y, null, 0),
  binary_cross_entropy_with_logits: (x, y) => x.binary_cross_entropy_with_logits(y.sigmoid().detach()),
  kl_div: (x, y) => x.log_softmax(-1).kl_div(y.softmax(-1), SUM),
  mse_loss: (x, y) => x.mse_loss(y),
  l1_loss: (x, y) => x.l1_loss(y, SUM),
  smooth_l1_loss: (x, y) => x.smooth_l1_loss(y, MEAN, 0.5),
  huber_loss: (x, y) => x.huber_loss(y, { delta: 0.7 }),

  "add alpha": (x, y) => x.add(y, { alpha: 0.5 }),
  sub: (x, y) => x.sub(y),
  rsub: (x) => x.rsub(2),
  mul: (x, y) => x.mul(y),
  div: (x, y) => x.div(y),
  "div floor": (x, y) => x.div(y, { rounding_mode: "floor" }),
  neg: (x) => x.neg(),
  reciprocal: (x) => x.reciprocal(),
  exp: (x) => x.exp(),
  expm1: (x) => x.expm1(),
  log: (x) => x.log(),
  log1p: (x) => x.log1p(),
  sqrt: (x) => x.sqrt(),
  rsqrt: (x) => x.rsqrt(),
  square: (x) => x.square(),
  abs: (x) => x.abs(),
  sign: (x) => x.sign(),
  sin: (x) => x.sin(),
  cos: (x) => x.cos(),
  erf: (x) => x.erf(),
  "pow scalar": (x) => x.pow(3),
  "pow fraction": (x) => x.pow(0.5),
  "pow tensor": (x, y) => x.pow(y),
  "pow of scalar": (x) => aten.pow(2, x),
  atan2: (x, y) => x.atan2(y),
  clamp: (x) => x.clamp(-0.5, 0.7),
  clamp_min: (x) => x.clamp({ min: 0.1 }),
  floor: (x) => x.floor(),
  round: (x) => x.round(),
  remainder: (x) => x.remainder(0.7),
  maximum: (x, y) => x.maximum(y),
  minimum: (x, y) => x.minimum(y),
  lerp: (x, y) => x.lerp(y, 0.3),
  addcmul: (x, y, z) => x.addcmul(y, z, { value: 0.5 }),
  addcdiv: (x, y, z) => x.addcdiv(y, z, { value: 0.5 }),
  comparisons: (x, y) => {
    const [a, b] = [x.gt(0), y.gt(0)];
    return [x.gt(y), x.le(y), x.eq(x), x.ne(y), a, a.logical_and(b), a.logical_or(b), a.logical_not()];
  },
  "isnan and friends": (x) => [x.div(0).isinf(), x.mul(Number.NaN).isnan(), x.isfinite()],
  integers: (n, m) => [
    n.add(m),
    n.mul(3),
    n.floor_divide(2),
    n.remainder(3),
    n.neg(),
    n.pow(2),
    n.bitwise_left_shift(1),
  ],
  "to dtypes": (x) => [x.to("float64"), x.to("bfloat16"), x.to("float16"), x.to("int64"), x.to("int32"), x.to("bool")],

  sum: (x) => x.sum(),
  "sum dims": (x) => x.sum([0, 2], { keepdim: true }),
  mean: (x) => x.mean(),
  "mean dims": (x) => x.mean([1, 2]),
  var: (x) => x.var(),
  "var dims biased": (x) => x.var([1], { correction: 0, keepdim: true }),
  std: (x) => x.std([0]),
  var_mean: (x) => aten.var_mean(x, [0]),
  prod: (x) => x.prod(1),
  max: (x) => x.max(),
  "max dim": (x) => x.max(1),
  "min dim keepdim": (x) => x.min(0, { keepdim: true }),
  amax: (x) => x.amax([0, 2]),
  amin: (x) => x.amin([1], true),
  cumsum: (x) => x.cumsum(1),
  cumprod: (x) => x.cumprod(0),
  "any all": (x) => [x.gt(0).any(), x.gt(0).all(1)],
  median: (x) => x.median(1),

  arange: () => [aten.arange(5), aten.arange(2, 11, 3), aten.arange(0.5, 2, 0.25)],
  "linspace eye full": () => [aten.linspace(-1, 1, 7), aten.eye(3, 4), aten.full([2, 2], 3), aten.full([2], 0.5)],
  likes: (x) => [x.zeros_like(), x.ones_like({ dtype: "int64" }), x.full_like(7)],
  meshgrid: (x, y) => aten.meshgrid([x, y], { indexing: "ij" }),
  cholesky: (x) => aten.linalg_cholesky(x.mm(x.t()).add(aten.eye(4))),
  "eigh values": (x) => aten.linalg_eigvalsh(x.mm(x.t())),
  "svd values": (x) => aten.linalg_svdvals(x),
  "qr reconstruction": (x) => {
    const [q, r] = aten.linalg_qr(x);
    return q.matmul(r);
  },
  fft: (x) => x.fft_rfft().view_as_real(),
};

const goldens = readGoldens("ops.safetensors");

/** Calls the operator on the golden inputs and compares outputs and gradients. */
function check(name: string, call: Case, golden: GoldenCase): void {
  scope(() => {
    const gradients = golden.get("gradient") ?? new Map<string, Tensor>();
    const inputs = [...(golden.get("input") ?? [])].map(([index, value]) => {
      const leaf = value.clone();
      if (gradients.size > 0 && value.dtype === "float32") leaf.requiresGrad = true;
      return [index, leaf] as const;
    });
    const [x, y, z] = inputs.map(([, leaf]) => leaf);
    const result = call(x!, y!, z!);
    const outputs = Array.isArray(result) ? (result as readonly Tensor[]) : [result as Tensor];
    const expected = golden.get("output")!;
    expect(outputs.length).toBe(expected.size);
    outputs.forEach((output, i) => {
      expectClose(output, expected.get(String(i))!, `${name}: output ${i}`);
    });

    const losses = outputs.filter((output) => output.requiresGrad).map(weighted);
    if (gradients.size > 0) aten.stack(losses).sum().backward();
    for (const [index, leaf] of inputs) {
      const wanted = gradients.get(index);
      expect(leaf.grad === undefined, `${name}: whether input ${index} has a gradient`).toBe(wanted === undefined);
      if (wanted !== undefined) expectClose(leaf.grad!, wanted, `${name}: gradient of input ${index}`);
    }
  });
}

/** The scalar whose gradients the goldens hold. */
function weighted(y: Tensor): Tensor {
  return y.to("float32").mul(aten.arange(y.numel()).cos().reshape(y.shape)).sum();
}

describe(`operators against PyTorch, forward and backward`, () => {
  test("every golden case is called here, and no other", () => {
    expect(Object.keys(cases).sort()).toEqual([...goldens.keys()].sort());
  });

  test.each(Object.entries(cases))("%s", (name, call) => {
    check(name, call, goldens.get(name)!);
  });

  // libtorch 1.13 has no public fused attention; the cases above compose it.
  test.skipIf(!hasOperator(ATTENTION)).each([false, true])("fused attention, causal %s", (causal) => {
    const fused: Case = (q, k, v) => callOperator(ATTENTION, q, k, v, { is_causal: causal }) as Tensor;
    const name = causal ? "attention causal" : "attention";
    check(name, fused, goldens.get(name)!);
  });
});

describe("minus zero, which JavaScript makes of −5 % 5", () => {
  const integers = () => aten.ones([2], { dtype: "int64" });
  const zero = -5 % 5;

  test("is an integer among integers", () => {
    expect(zero).toBe(-0);
    const made = [
      integers().add(zero),
      integers().add(integers(), { alpha: zero }),
      integers().gt(0).add(zero),
      aten.where(integers().gt(0), zero, integers()),
      aten.arange(zero, 3),
      aten.full([2], zero),
      aten._foreach_add([integers()], zero)[0]!,
      aten._foreach_add([integers()], [zero])[0]!,
    ];
    expect(made.map(({ dtype }) => dtype)).toEqual(made.map(() => "int64"));
  });

  test("keeps its sign among fractions", () => {
    const made = [
      aten.zeros([1]).fill_(zero),
      aten.full([1], zero, { dtype: "float32" }),
      aten.ones([1]).mul(zero),
      aten.ones([1]).masked_fill(aten.ones([1]).gt(0), zero),
      aten._foreach_mul([aten.ones([1])], zero)[0]!,
      aten._foreach_mul([aten.ones([1])], [zero])[0]!,
    ];
    expect(made.map((x) => x.tolist())).toEqual(made.map(() => [-0]));
  });
});
