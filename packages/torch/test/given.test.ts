import {
  Adam,
  AdamW,
  AdaptiveAvgPool2d,
  AvgPool2d,
  autocast,
  BatchNorm1d,
  Conv1d,
  Conv2d,
  ConvTranspose2d,
  CrossEntropyLoss,
  clipGradNorm,
  clipGradNorm_,
  DataLoader,
  Dropout,
  decayMatrices,
  defaultCollate,
  Ema,
  Embedding,
  Flatten,
  GELU,
  Generator,
  GradientBuckets,
  GroupNorm,
  grad,
  LayerNorm,
  Linear,
  linearRamp,
  load,
  MaxPool2d,
  MSELoss,
  MultiheadAttention,
  manualSeed,
  parameter,
  ReLU,
  readSafetensors,
  SGD,
  Sigmoid,
  SiLU,
  save,
  Tanh,
  type Tensor,
  TensorDataset,
  tensor,
  Upsample,
  warmupCosine,
  writeSafetensors,
} from "@iqvae/torch";
import { describe, expect, test } from "vitest";

/* What JavaScript lets through where TypeScript would not. */

const untyped = <T>(value: unknown) => value as T;
const scalar = () => tensor(2, { requiresGrad: true });
const net = () => new Linear(2, 1);

describe("an option that there is not", () => {
  const p = () => net().parameters();
  test.each<[what: string, call: (options: never) => unknown, given: object, meant: string]>([
    ["GradientBuckets", (o) => new GradientBuckets([], o), { byte: 5 }, "bytes"],
    ["Module.to", (o) => net().to(o), { devise: "cpu" }, "device"],
    ["Adam", (o) => new Adam(p(), o), { weight_decay: 1 }, "weightDecay"],
    ["AdamW", (o) => new AdamW([{ params: p(), ...untyped<object>(o) }]), { LR: 1 }, "lr"],
    ["SGD", (o) => new SGD(p(), o), { momentun: 1 }, "momentum"],
    ["SGD.step", (o) => new SGD(p()).step(o), { gradient_scale: 1 }, "gradientScale"],
    ["Conv1d", (o) => new Conv1d(1, 1, 3, o), { pading: 1 }, "padding"],
    ["Conv2d", (o) => new Conv2d(1, 1, 3, o), { strides: 1 }, "stride"],
    ["ConvTranspose2d", (o) => new ConvTranspose2d(1, 1, 3, o), { output_padding: 1 }, "outputPadding"],
    ["Linear", (o) => new Linear(1, 1, o), { bais: false }, "bias"],
    ["Embedding", (o) => new Embedding(1, 1, o), { sdt: 1 }, "std"],
    ["LayerNorm", (o) => new LayerNorm(4, o), { EPS: 1e-6 }, "eps"],
    ["GroupNorm", (o) => new GroupNorm(1, 4, o), { silo: true }, "silu"],
    ["BatchNorm1d", (o) => new BatchNorm1d(4, o), { momentun: 0.2 }, "momentum"],
    ["GELU", (o) => new GELU(o), { aproximate: "tanh" }, "approximate"],
    ["AvgPool2d", (o) => new AvgPool2d(2, o), { paddings: 1 }, "padding"],
    ["MultiheadAttention", (o) => new MultiheadAttention(2, 1, o), { batch_first: true }, "batchFirst"],
    ["CrossEntropyLoss", (o) => new CrossEntropyLoss(o), { label_smoothing: 0.5 }, "labelSmoothing"],
    ["MSELoss", (o) => new MSELoss(o), { reductions: "sum" }, "reduction"],
    ["DataLoader", (o) => new DataLoader([1], o), { batch_size: 3 }, "batchSize"],
    ["autocast", (o) => autocast(o, () => 1), { enable: false }, "enabled"],
    ["grad", (o) => grad([scalar()], [], o), { create_graph: true }, "createGraph"],
    ["backward", (o) => scalar().backward(undefined, o), { retain_graph: true }, "retainGraph"],
    ["parameter", (o) => parameter([1], () => {}, o), { memory_format: "channels_last" }, "memoryFormat"],
    ["readSafetensors", (o) => readSafetensors("none", o), { name: [] }, "names"],
    ["tensor", (o) => tensor([1], o), { requires_grad: true }, "requiresGrad"],
    ["warmupCosine", (o) => warmupCosine(o), { steps: 1 }, "step"],
  ])("of %s is named, with the one that was meant", (what, call, given, meant) => {
    const [option] = Object.keys(given);
    expect(() => call(given as never)).toThrow(
      new TypeError(`${what} has no option '${option}'; did you mean '${meant}'?`),
    );
  });

  test("that is like none is told which there are", () => {
    expect(() => new Linear(1, 1, untyped({ device: "cpu" }))).toThrow(
      /Linear has no option 'device'; choose one of bias/,
    );
  });

  test("that is no object is told that options are one", () => {
    expect(() => new Conv2d(1, 1, 3, untyped(2))).toThrow(/Conv2d takes options as an object of stride, .* got 2/);
    expect(() => new Adam(net().parameters(), untyped(0.1))).toThrow(/Adam .* lr, .* got 0.1/);
  });
});

describe("an argument of another kind", () => {
  const wrong = (value: unknown) => untyped<never>(value);
  const image = () => tensor(new Float32Array(16), { shape: [1, 1, 4, 4] });
  test.each<[call: () => unknown, message: string]>([
    [
      () => new Conv2d(1, 1, 3, { padding: wrong([1]) }),
      "Conv2d: padding must be a whole number from 0, or two of them",
    ],
    [() => new Conv2d(1, 1, 3, { stride: 0 }), "Conv2d: stride must be a whole number from 1, or two"],
    [() => new Conv2d(1, 1, wrong([3, 3, 3])), "[height, width], but is [3, 3, 3]"],
    [() => new Conv2d(wrong("1"), 1, 3), 'Conv2d: inputs must be a whole number from 0, but is "1"'],
    [() => new Conv2d(1, 1, 3, { bias: wrong(null) }), "Conv2d: bias must be true or false, but is null"],
    [() => new Conv1d(1, 1, 3, { padding: wrong(null) }), '0, "same" or "valid", but is null'],
    [() => new Conv1d(1, 1, 3, { dilation: wrong([1]) }), "Conv1d: dilation must be a whole number from 1, but is [1]"],
    [() => new ConvTranspose2d(1, 1, 3, { outputPadding: 0.5 }), "outputPadding must be a whole number from 0, or two"],
    [() => new AvgPool2d(2, { padding: -1 }), "AvgPool2d: padding must be a whole number from 0, or two"],
    [() => new MaxPool2d(2, { padding: wrong({}) }), "two of them, [height, width], but is an object of nothing"],
    [
      () => new AvgPool2d(wrong("2")),
      'AvgPool2d: window must be a whole number from 1, or two of them, [height, width], but is "2"',
    ],
    [() => new AdaptiveAvgPool2d(wrong([1, null])), "AdaptiveAvgPool2d: size must be a whole number from 0, or two"],
    [() => new Linear(wrong(2n), 1), "Linear: inputs must be a whole number from 0, but is 2n"],
    [() => new Linear(1, 1, { bias: wrong("false") }), 'Linear: bias must be true or false, but is "false"'],
    [() => new Linear(1, 1, wrong([false])), "Linear takes options as an object of bias, but got [false]"],
    [() => new Linear(1, 1, wrong(scalar())), "Linear takes options as an object of bias, but got a Tensor"],
    [() => new Embedding(2, 1, { std: wrong("1") }), 'Embedding: std must be a number, but is "1"'],
    [() => new LayerNorm(wrong("4")), 'LayerNorm: shape must be a whole number from 0, or a list of them, but is "4"'],
    [() => new LayerNorm(4, { eps: Number.NaN }), "LayerNorm: eps must be a number, but is NaN"],
    [() => new GroupNorm(wrong([1]), 1), "GroupNorm: groups must be a whole number from 1, but is [1]"],
    [() => new BatchNorm1d(3, { momentum: wrong(null) }), "BatchNorm1d: momentum must be a number, but is null"],
    [() => new Dropout(wrong(null)), "Dropout: p must be a number in [0, 1], but is null"],
    [() => new MultiheadAttention(4, 2, { dropout: -1 }), "dropout must be a number in [0, 1], but is -1"],
    [
      () => new MultiheadAttention(4, wrong("2")),
      'MultiheadAttention: heads must be a whole number from 1, but is "2"',
    ],
    [
      () => new Flatten(wrong({ startDim: 2 })),
      "Flatten: startDim must be a whole number, but is an object of startDim",
    ],
    [() => new GELU({ approximate: wrong("exact") }), 'GELU: approximate must be "none" or "tanh", but is "exact"'],
    [() => new Upsample({ scaleFactor: wrong("2") }), 'Upsample: scaleFactor must be a number above 0, but is "2"'],
    [
      () => new CrossEntropyLoss({ weight: wrong([1, 2]) }),
      "CrossEntropyLoss: weight must be a tensor or null, but is [1, 2]",
    ],
    [() => new CrossEntropyLoss({ ignoreIndex: wrong(null) }), "ignoreIndex must be a whole number, but is null"],
    [() => new MSELoss({ reduction: wrong(2n) }), 'MSELoss: reduction must be "none", "mean" or "sum", but is 2n'],
    [() => new MSELoss().forward(wrong([1]), scalar()), "MSELoss: input must be a tensor, but is [1]"],
    [
      () => new Conv2d(1, 1, 3).forward(wrong([image(), null])),
      "Conv2d.forward: x must be a tensor, but is an array of 2",
    ],
    [() => new BatchNorm1d(1).forward(wrong(undefined)), "BatchNorm1d.forward: x must be a tensor, but is undefined"],
    [() => new ReLU().forward(wrong([1])), "needs 'self' to be Tensor"],
    [() => new DataLoader([1], { shuffle: wrong("no") }), 'DataLoader: shuffle must be true or false, but is "no"'],
    [() => new DataLoader([1], { generator: wrong(7) }), "DataLoader: generator must be a Generator, but is 7"],
    [() => new SGD([scalar()], { nesterov: wrong("no") }), 'SGD: nesterov must be true or false, but is "no"'],
    [() => grad([scalar()], [], { createGraph: wrong(1) }), "grad: createGraph must be true or false, but is 1"],
  ])("is told by its name, case %#", (call, message) => {
    expect(call).toThrow(message);
  });

  test.each([ReLU, SiLU, Sigmoid, Tanh])("is none of those of a layer without settings, case %#", (Layer) => {
    const made = (...args: unknown[]) => Reflect.construct(Layer, args);
    expect(made()).toBeInstanceOf(Layer);
    expect(() => made({ inplace: true }, 2)).toThrow(
      new TypeError(`${Layer.name} takes no arguments, but got an object of inplace, 2`),
    );
  });

  test("is refused by attention, masks and questions too", () => {
    const x = tensor(new Float32Array(8), { shape: [2, 1, 4] });
    const attend = (options: object) => () => new MultiheadAttention(4, 2).forward(x, x, x, options);
    expect(attend({ attnMask: [[true]] })).toThrow("forward: attnMask must be a tensor or null, but is an array of 1");
    expect(attend({ needWeights: 0 })).toThrow("forward: needWeights must be true or false, but is 0");
    expect(() => new MultiheadAttention(4, 2).forward(x, x, untyped([x]))).toThrow("value must be a tensor, but is an");
  });
});

describe("something else than is asked for", () => {
  test.each<[what: string, call: () => unknown, message: RegExp]>([
    ["tensor", () => tensor([1], { dtype: untyped("float") }), /no dtype 'float'.*float32/],
    [
      "backward",
      () => scalar().backward(untyped({ retainGraph: true })),
      /an object of retainGraph; .*\(undefined, \{/,
    ],
    ["backwardAsync", () => scalar().backwardAsync(untyped({ retainGraph: true })), /backwardAsync\(undefined, \{/],
    ["grad", () => grad(untyped(scalar()), [scalar()]), /outputs must be a list of tensors, but got a Tensor.*\[x\]/],
    ["grad's inputs", () => grad([scalar()], untyped([1])), /inputs must be a list of tensors, .* but has 1/],
    ["clipGradNorm_", () => clipGradNorm_(untyped(scalar()), 1), /clipGradNorm_: .* got a Tensor/],
    ["clipGradNorm_ of null", () => clipGradNorm_(untyped(null), 1), /clipGradNorm_: .* got null.*\[x\]/],
    ["clipGradNorm", () => clipGradNorm(untyped(net().namedParameters()), 1), /parameters\(\), but has an array of 2/],
    [
      "loadStateDict",
      () => net().loadStateDict(untyped({ tensors: new Map(), metadata: {} })),
      /\.tensors, but it is an object of tensors, metadata/,
    ],
    [
      "writeSafetensors",
      () => writeSafetensors("none", untyped({ a: scalar() })),
      /writeSafetensors: a map .* is an object of a/,
    ],
    ["Ema", () => new Ema(untyped(net())), /Ema: a map .* is a Linear/],
    ["an optimizer", () => new SGD(untyped(net())), /net\.parameters\(\), .* but got a Linear/],
    ["a group", () => new Adam([{ params: untyped(scalar()) }]), /Adam: params must be .* got a Tensor.*\[x\]/],
    ["step", () => new SGD([scalar()]).step({ gradientScale: untyped(0.5) }), /SGD\.step: gradientScale .* is 0\.5/],
    [
      "step, of two numbers",
      () => new Adam([scalar()]).step({ gradientScale: tensor([1, 2]) }),
      /Adam\.step: .* one number, .* but is Tensor\(float32 \[2\]\)/,
    ],
    ["parameter", () => parameter([2], () => tensor([1, 2])), /filled in place, such as by p\.zero_\(\)/],
    ["tensor of arrays", () => tensor([untyped<number>(new Float32Array(1e5))]), /got a Float32Array at depth 1$/],
    ["autocast", () => autocast({ dtype: untyped("bf16") }, () => 0), /"bfloat16" or "float16", but is "bf16"/],
    ["decayMatrices", () => decayMatrices(untyped(net().parameters()), 1), /decayMatrices: a map .* is an array of 2/],
    ["TensorDataset", () => new TensorDataset(untyped<Tensor>([1, 2])), /with rows, but got \[1, 2\]/],
    ["TensorDataset of a scalar", () => new TensorDataset(tensor(5)), /with rows, but got Tensor\(float32 \[\]\)/],
    ["DataLoader of text", () => new DataLoader(untyped<number[]>("abc")), /DataLoader .* got "abc"/],
    ["GradientBuckets", () => new GradientBuckets(untyped(net())), /GradientBuckets: .* got a Linear/],
    ["tensor of bytes that are cut off", () => tensor(untyped(new Uint8ClampedArray(1))), /Uint8Array\.from\(x\)/],
    ["tensor of bits", () => tensor(new Uint16Array(1)), /Uint16Array; name it, .*bfloat16/],
    ["save", () => save(untyped(net()), "none"), /such as \{ net \}, but got a Linear/],
    ["load", () => load("none", untyped(net())), /such as \{ net \}/],
    ["DataLoader", () => new DataLoader(untyped<number[]>(new Set([1, 2]))), /DataLoader .* got a Set; .*\[\.\.\.x\]/],
    [
      "warmupCosine",
      () => warmupCosine(untyped({ step: 1, total: 2, peak: 1 })),
      /warmup must be a number, but is undefined/,
    ],
    [
      "linearRamp",
      () => linearRamp({ step: Number.NaN, over: 1, from: 0, to: 1 }),
      /step must be a number, but is NaN/,
    ],
  ])("is named by %s, with what to do", (_, call, message) => {
    expect(call).toThrow(TypeError);
    expect(call).toThrow(message);
  });
});

describe("a number that makes no sense", () => {
  test.each<[what: string, call: () => unknown, message: RegExp]>([
    ...[-1, Number.NaN, untyped<number>(undefined)].map((bound): [string, () => unknown, RegExp] => [
      `clipGradNorm_, with ${bound}`,
      () => clipGradNorm_([scalar()], bound),
      new RegExp(`maxNorm must be a number from 0, but is ${bound}`),
    ]),
    ...[-0.1, 1.1, Number.NaN, untyped<number>(undefined)].map((decay): [string, () => unknown, RegExp] => [
      `Ema, with ${decay}`,
      () => new Ema(net().namedParameters()).update(decay),
      new RegExp(`decay must be in \\[0, 1\\], but is ${decay}`),
    ]),
    ["SGD", () => new SGD([scalar()], { lr: untyped("0.1") }), /lr must be a finite number from 0, but is "0\.1"/],
    ["manualSeed", () => manualSeed(2n ** 64n), /seed 18446744073709551616 does not fit 64 bits/],
    ["Generator", () => new Generator(-(2n ** 63n) - 1n), /does not fit 64 bits/],
    ["defaultCollate", () => defaultCollate([1n, 2n ** 63n]), /9223372036854775808 does not fit int64/],
  ])("is refused by %s", (_, call, message) => {
    expect(call).toThrow(RangeError);
    expect(call).toThrow(message);
  });
});

test("a batch that is kept too long is told to be cloned", () => {
  const batches = [
    ...new DataLoader(
      Array.from({ length: 4 }, (_, i) => i),
      { batchSize: 2 },
    ),
  ] as Tensor[];
  expect(() => batches[0]!.tolist()).toThrow(
    /shape \[2\].*batch of a DataLoader lives until the next is taken; clone\(\)/,
  );
  expect(() => batches[1]!.tolist()).toThrow(/clone/);
});
