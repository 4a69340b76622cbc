import {
  AvgPool2d,
  BatchNorm1d,
  BatchNorm2d,
  buffer,
  Conv1d,
  Conv2d,
  ConvTranspose2d,
  Dropout,
  Embedding,
  Flatten,
  GELU,
  LayerNorm,
  Linear,
  liveTensors,
  MaxPool2d,
  Module,
  MultiheadAttention,
  manualSeed,
  ops,
  parameter,
  ReLU,
  Sequential,
  Sigmoid,
  SiLU,
  scope,
  Tanh,
  type Tensor,
  tensor,
} from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { readGoldens } from "./goldens.ts";
import { checkLayer, type Subject } from "./layer-check.ts";

const { aten } = ops;
const goldens = readGoldens("modules.safetensors");

describe("layers against PyTorch, forward and backward", () => {
  test.each<[string, () => Subject]>([
    ["Conv2d without padding", () => new Conv2d(3, 4, 3)],
    ["Conv2d with groups and dilation", () => new Conv2d(4, 6, 3, { padding: 2, dilation: 2, groups: 2 })],
    ["Conv2d same", () => new Conv2d(3, 4, [3, 5], { padding: "same", dilation: [2, 1] })],
    ["Conv2d same, even kernel", () => new Conv2d(3, 4, [2, 4], { padding: "same" })],
    ["Conv2d valid", () => new Conv2d(3, 4, 2, { padding: "valid", stride: 2 })],
    ["Conv1d", () => new Conv1d(4, 6, 5, { stride: 2, padding: 2, groups: 2 })],
    ["Conv1d same, even kernel", () => new Conv1d(4, 3, 4, { padding: "same", bias: false })],
    ["ConvTranspose2d", () => new ConvTranspose2d(4, 6, 3, { stride: 2, padding: 1, outputPadding: 1, groups: 2 })],
    ["ConvTranspose2d with dilation", () => new ConvTranspose2d(2, 3, [2, 3], { dilation: 2, bias: false })],
    ["LayerNorm of two dimensions", () => new LayerNorm([3, 6])],
    ["BatchNorm1d", () => new BatchNorm1d(5)],
    ["BatchNorm1d of sequences", () => new BatchNorm1d(3, { eps: 1e-3, momentum: 0.5 })],
    ["BatchNorm2d", () => new BatchNorm2d(3)],
    ["BatchNorm2d evaluated", () => new BatchNorm2d(3).eval()],
    [
      "Sequential",
      () =>
        new Sequential(
          new Conv2d(1, 4, 3, { padding: 1 }),
          new ReLU(),
          new MaxPool2d(3, { stride: 2, padding: 1 }),
          new Conv2d(4, 4, 3),
          new GELU({ approximate: "tanh" }),
          new AvgPool2d(2, { stride: 1 }),
          new Flatten(),
          new Linear(4, 5),
          new Tanh(),
          new Linear(5, 3),
          new SiLU(),
          new Sigmoid(),
        ),
    ],
  ])("%s", (name, make) => {
    checkLayer(goldens.get(name)!, make(), { name });
  });

  test("MultiheadAttention", () => {
    const attention = new MultiheadAttention(8, 2);
    const name = "MultiheadAttention";
    checkLayer(goldens.get(name)!, attention as never, { name, call: (x) => attention.forward(x!, x!, x!) });
  });

  // Where no weights are wanted it is one fused kernel, and the plain products otherwise.
  test.each([false, true])("MultiheadAttention, causal, with needWeights %s", (needWeights) => {
    const attention = new MultiheadAttention(8, 2, { batchFirst: true });
    const name = "MultiheadAttention, causal";
    checkLayer(goldens.get(name)!, attention as never, {
      name,
      call: (x) => attention.forward(x!, x!, x!, { isCausal: true, needWeights })[0],
    });
  });

  test("MultiheadAttention, cross, with masks that are added or say what is left out", () => {
    const name = "MultiheadAttention, cross";
    for (const asBooleans of [false, true]) {
      const attention = new MultiheadAttention(8, 4, { bias: false });
      checkLayer(goldens.get(name)!, attention as never, {
        name,
        call: (query, key, value, attnMask, padding) => {
          const keyPaddingMask = asBooleans ? padding!.isinf() : padding!.detach();
          const options = { attnMask: attnMask!.detach(), keyPaddingMask, averageAttnWeights: false };
          return attention.forward(query!, key!, value!, options);
        },
      });
    }
  });
});

describe("layers", () => {
  test("refuse what does not fit, by name and number", () => {
    expect(() => new Conv2d(4, 6, 3, { groups: 3 })).toThrow(/Conv2d: 4 channels.*3 groups/);
    expect(() => new Conv1d(3, 4, 3, { groups: 3 })).toThrow(/Conv1d: 4 channels.*3 groups/);
    expect(() => new ConvTranspose2d(3, 4, 3, { groups: 3 })).toThrow(/ConvTranspose2d: 4 channels.*3 groups/);
    expect(() => new Conv2d(4, 6, 3, { padding: "same", stride: 2 })).toThrow(/Conv2d.*"same".*\[2, 2\]/);
    expect(() => new MultiheadAttention(8, 3)).toThrow(/8.*3 heads/);
    expect(() => new Dropout(1.5)).toThrow(/1\.5/);
    expect(() => new BatchNorm2d(3).forward(aten.ones([2, 3]))).toThrow(/BatchNorm2d expects 4.*\[2, 3\]/);
    const attention = new MultiheadAttention(4, 2);
    const [x, flat] = [aten.ones([2, 1, 4]), aten.ones([2, 4])];
    expect(() => attention.forward(x, flat, x)).toThrow(/3 dimensions, but the key is \[2, 4\]/);
    expect(() => new Sequential([new Linear(1, 1)] as never)).toThrow(
      /one by one, but got an array of 1.*\.\.\.layers/,
    );
    const words = { padding: "full" as "same" };
    expect(() => new Conv1d(1, 1, 3, words)).toThrow(/Conv1d: padding must be .*"same" or "valid", but is "full"/);
    expect(() => new Conv2d(1, 1, 3, words)).toThrow(/Conv2d: padding.*"full"/);
    expect(() => parameter([2.5], () => {})).toThrow(/shape of a parameter must be whole numbers, but is \[2\.5\]/);
  });

  test("attention refuses masks that would be cut anew, spread or added up", () => {
    const attention = new MultiheadAttention(4, 2, { batchFirst: true });
    const x = aten.randn([2, 3, 4]);
    const run = (mask: object) => () => attention.forward(x, x, x, mask);
    const of = (shape: number[], dtype: "bool" | "uint8" | "float32" = "bool") => aten.zeros(shape, { dtype });
    expect(run({ keyPaddingMask: of([3, 2]) })).toThrow(/keyPaddingMask to be \[2, 3\], but got \[3, 2\]/);
    for (const shape of [[1, 3], [3], [2, 3, 3], [3, 3, 4]])
      expect(run({ attnMask: of(shape) })).toThrow(/attnMask to be \[3, 3\] or \[4, 3, 3\], but got/);
    expect(run({ attnMask: of([3, 3], "uint8") })).toThrow(/attnMask of booleans.*but got uint8.*mask\.bool\(\)/);
    expect(run({ keyPaddingMask: of([2, 3], "uint8") })).toThrow(TypeError);
    const plain = run({})()[0];
    for (const mask of [{ attnMask: of([4, 3, 3]) }, { attnMask: null, keyPaddingMask: of([2, 3], "float32") }])
      expect(run(mask)()[0].equal(plain)).toBe(true);
    const first = aten.cat([of([2, 1]), aten.ones([2, 2], { dtype: "bool" })], 1);
    const [fast, slow] = [false, true].map(
      (needWeights) => run({ isCausal: true, keyPaddingMask: first, needWeights })()[0],
    );
    expect(fast!.sub(slow!).abs().max().item()).toBeLessThan(1e-6);
  });

  test("attention with values of their own is not that of a tensor to itself", () => {
    const attention = new MultiheadAttention(4, 2);
    const [x, values] = [aten.randn([3, 2, 4]), aten.randn([3, 2, 4])];
    const [fast, slow] = [false, true].map(
      (needWeights) => attention.forward(x, x, values, { isCausal: true, needWeights })[0],
    );
    expect(fast!.sub(slow!).abs().max().item()).toBeLessThan(1e-6);
  });

  test("windows lie side by side unless told otherwise", () => {
    for (const Pool of [MaxPool2d, AvgPool2d])
      expect(new Pool([2, 3]).forward(aten.ones([1, 1, 4, 6])).shape).toEqual([1, 1, 2, 2]);
  });

  test("a layer without inputs gives its bias, which starts at 0", () => {
    expect(new Linear(0, 2).forward(aten.ones([3, 0])).tolist()).toEqual(Array(3).fill([0, 0]));
  });

  test("batch norms in training refuse one value a channel, and what does not fit, before anything is changed", () => {
    const cases: [BatchNorm1d | BatchNorm2d, number[], RegExp][] = [
      [new BatchNorm1d(3), [1, 3], /BatchNorm1d.*more than one value a channel, but got \[1, 3\]/],
      [new BatchNorm1d(3), [1, 3, 1], /more than one value/],
      [new BatchNorm2d(3), [1, 3, 1, 1], /more than one value/],
      [new BatchNorm2d(3), [2, 4, 1, 1], /running_mean/],
    ];
    for (const [norm, shape, message] of cases) {
      const values = () => [...norm.stateDict()].map(([name, each]) => [name, each.detach().tolist()]);
      const before = values();
      expect(() => norm.forward(aten.ones(shape))).toThrow(message);
      expect(values()).toEqual(before);
    }
    expect(new BatchNorm1d(3).eval().forward(aten.ones([1, 3])).shape).toEqual([1, 3]);
  });

  test("start as PyTorch's do", () => {
    manualSeed(3);
    const within = (weight: Tensor, bound: number) => {
      const spread = weight.detach().div(bound).to("float64");
      expect(spread.abs().max().item()).toBeLessThanOrEqual(1);
      expect(Math.abs(spread.square().mean().item() - 1 / 3)).toBeLessThan(1.2 / Math.sqrt(spread.numel()));
    };
    const grouped = new Conv2d(40, 30, 2, { groups: 5 });
    for (const each of [grouped.weight, grouped.bias!]) within(each, 1 / Math.sqrt(8 * 4));
    const transposed = new ConvTranspose2d(40, 30, 2, { groups: 5 });
    for (const each of [transposed.weight, transposed.bias!]) within(each, 1 / Math.sqrt(6 * 4));
    within(new Conv1d(8, 60, 5).weight, 1 / Math.sqrt(40));
    within(new Conv1d(8, 60, 5, { groups: 2 }).weight, 1 / Math.sqrt(20));
    const table = new Embedding(500, 8).weight.detach().double();
    expect(Math.abs(table.square().mean().item() - 1)).toBeLessThan(0.1);
    const attention = new MultiheadAttention(48, 4);
    within(attention.in_proj_weight, Math.sqrt(6 / (4 * 48)));
    within(attention.out_proj.weight, 1 / Math.sqrt(48));
    const shifts = [attention.in_proj_bias!, attention.out_proj.bias!];
    for (const each of shifts) expect([each.abs().max().item(), each.requiresGrad]).toEqual([0, true]);
  });

  test("dropout scales what it keeps in training and lets all through after eval()", () => {
    manualSeed(1);
    const x = aten.ones([10_000]);
    const dropout = new Dropout(0.25);
    const kept = dropout.forward(x);
    expect(kept.ne(0).to("float32").mean().item()).toBeCloseTo(0.75, 1);
    expect(kept.max().item()).toBeCloseTo(4 / 3, 6);
    expect(new Dropout(1).forward(x).abs().max().item()).toBe(0);
    expect(new Dropout().p).toBe(0.5);
    expect(dropout.eval().forward(x)).toBe(x);
  });

  test("dropout in attention is for training alone", () => {
    manualSeed(1);
    const attention = new MultiheadAttention(8, 2, { dropout: 0.5 });
    const x = aten.randn([6, 1, 8]);
    const run = () => attention.forward(x, x, x, { isCausal: true, needWeights: false })[0];
    expect(run().equal(run())).toBe(false);
    attention.eval();
    expect(run().equal(run())).toBe(true);
    const none = new MultiheadAttention(8, 2, { dropout: 1 });
    expect(none.forward(x, x, x)[0].abs().max().item()).toBe(0);
  });

  test("attention gives back the weights that it used, those that dropout left", () => {
    manualSeed(1);
    const attention = new MultiheadAttention(8, 2, { dropout: 0.5 });
    const x = aten.randn([6, 1, 8]);
    const [out, weights] = attention.forward(x, x, x, { averageAttnWeights: false });
    expect(weights!.eq(0).any().item()).toBe(1);
    const value = aten.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, -1)[2]!; // [6, 1, 8]
    const mixed = weights!
      .matmul(value.reshape([1, 6, 2, 4]).transpose(1, 2))
      .transpose(1, 2)
      .flatten(2);
    const expected = attention.out_proj.forward(mixed).transpose(0, 1);
    expect(out.sub(expected).abs().max().item()).toBeLessThan(1e-5);
  });
});

describe("modules", () => {
  class Block extends Module {
    readonly linear = new Linear(2, 2);
    readonly drop = new Dropout(0.5);
    readonly count = buffer(() => tensor([0]));
  }
  class Model extends Module {
    readonly list = [new Block()];
    readonly map = new Map<string | number, unknown>([
      ["a", new Block()],
      [7, { deep: [new Linear(1, 1)] }],
    ]);
    readonly object = { b: new Linear(1, 1), text: "x", none: null, numbers: new Float32Array(3) };
    readonly nothing = new Set([1, 2]);
    readonly _scratch = new Set([tensor([1])]);
    constructor(readonly more: Record<string, unknown> = {}) {
      super();
    }
  }

  test("find tensors and modules in arrays, maps and objects", () => {
    const model = new Model();
    const paths = ["list.0.linear", "map.a.linear", "map.7.deep.0", "object.b"].flatMap((path) => [
      `${path}.weight`,
      `${path}.bias`,
    ]);
    expect([...model.namedParameters().keys()].sort()).toEqual([...paths].sort());
    expect([...model.namedBuffers().keys()]).toEqual(["list.0.count", "map.a.count"]);
    expect(model.modules()).toHaveLength(9);
    expect(model.modules()[0]).toBe(model);
  });

  class Holder {
    constructor(readonly held: unknown) {}
  }
  test.each<[string, () => unknown, RegExp]>([
    ["a set", () => new Set([tensor([1])]), /Model\.more\.it is a Set/],
    ["a class", () => new Holder([new Linear(1, 1)]), /Model\.more\.it is a Holder/],
    ["a map by object", () => new Map([[{}, tensor([1])]]), /Model\.more\.it is a Map/],
    ["a result", () => new Linear(1, 1).weight.mul(2), /Model\.more\.it was computed/],
  ])("throw for what has no name: %s", (_, make, message) => {
    const model = new Model({ it: make() });
    for (const use of [() => model.stateDict(), () => model.parameters(), () => model.train()])
      expect(use).toThrow(message);
  });

  test("throw for a way back, and for two of one path", () => {
    const more: Record<string, unknown> = {};
    const model = new Model(more);
    more.up = { model };
    expect(() => model.modules()).toThrow(/Model\.more\.up\.model leads back/);
    const twice = new Model({ "a.b": tensor([1]), a: { b: tensor([2]) } });
    expect(() => twice.stateDict()).toThrow(/two tensors of the path 'more\.a\.b'/);
  });

  test("leave classes without tensors alone, also those that go in circles", () => {
    const circle: { self?: unknown } = new Holder(1) as never;
    circle.self = circle;
    expect([...new Model({ circle }).stateDict().keys()]).toEqual([...new Model().stateDict().keys()]);
  });

  test("count what is used twice once, and save it under both names", () => {
    const shared = new Linear(2, 2);
    const model = new Sequential(shared, new ReLU(), shared);
    expect([...model.namedParameters().keys()]).toEqual(["0.weight", "0.bias"]);
    expect(model.parameters()).toEqual([shared.weight, shared.bias]);
    expect([...model.stateDict().keys()]).toEqual(["0.weight", "0.bias", "2.weight", "2.bias"]);
    expect(model.parameterCount()).toBe(6);
  });

  test("a frozen parameter stays a parameter", () => {
    const model = new Block();
    const own = tensor([1], { requiresGrad: true });
    Object.assign(model, { own });
    expect([...model.namedParameters().keys()]).toEqual(["linear.weight", "linear.bias", "own"]);
    model.requiresGrad_(false);
    expect(model.parameters().map((each) => each.requiresGrad)).toEqual([false, false, false]);
    expect([...model.namedBuffers().keys()]).toEqual(["count"]);
    expect(model.requiresGrad_().linear.weight.requiresGrad).toBe(true);
  });

  test("train() and eval() reach all modules, zeroGrad() all parameters", () => {
    const model = new Model();
    const all = () => new Set(model.modules().map(({ training }) => training));
    expect(all()).toEqual(new Set([true]));
    expect(model.eval()).toBe(model);
    expect(all()).toEqual(new Set([false]));
    model.train();
    expect(all()).toEqual(new Set([true]));
    for (const each of model.parameters()) each.grad = aten.ones_like(each);
    model.zeroGrad();
    expect(model.parameters().every(({ grad }) => grad === undefined)).toBe(true);
  });

  test("to() converts fractions in place, gradients too, and leaves no tensor behind", () => {
    const model = new Sequential(new Linear(2, 3), new BatchNorm1d(3));
    const { weight } = model[0] as Linear;
    const half = tensor([
      [0.5, 0.5],
      [0.5, 0.5],
      [0.5, 0.5],
    ]);
    weight.detach().copy_(half);
    weight.grad = half;
    const before = liveTensors();
    expect(model.to("float64")).toBe(model);
    expect(liveTensors()).toBe(before);
    for (const [name, { dtype }] of model.stateDict())
      expect(dtype, name).toBe(name === "1.num_batches_tracked" ? "int64" : "float64");
    expect([weight.requiresGrad, weight.grad!.dtype, weight.detach().sum().item()]).toEqual([true, "float64", 3]);
    model.zeroGrad();
    scope(() =>
      model
        .forward(aten.ones([4, 2], { dtype: "float64" }))
        .sum()
        .backward(),
    );
    expect(weight.grad!.dtype).toBe("float64");
    model.to({ device: "cpu", dtype: "float32" }).to("cpu");
    expect([weight.dtype, weight.device, weight.grad!.dtype]).toEqual(["float32", "cpu", "float32"]);
    for (const [target, message] of [
      ["nowhere", /nowhere/],
      ["int64", /Module\.to takes a dtype of fractions, .* but got int64/],
      [{ dtype: "float" }, /but got float/],
      ["meta", /to or from the device meta.*setDefaultDevice\("meta"\)/],
    ] as [never, RegExp][])
      expect(() => model.to(target)).toThrow(message);
    expect([weight.dtype, weight.grad!.dtype]).toEqual(["float32", "float32"]);
  });

  test("a parameter may be filled by a view of it", () => {
    expect(
      parameter([2], (p) => p.select(0, 1).fill_(3))
        .detach()
        .select(0, 1)
        .item(),
    ).toBe(3);
  });

  test("Sequential takes functions, which have a place and no weights", () => {
    const model = new Sequential(new Linear(2, 3), (x) => x.relu(), new Linear(3, 1));
    expect([...model.stateDict().keys()]).toEqual(["0.weight", "0.bias", "2.weight", "2.bias"]);
    const x = aten.randn([4, 2]);
    const [first, , last] = [model[0] as Linear, model[1], model[2] as Linear];
    expect(model.forward(x).equal(last.forward(first.forward(x).relu()))).toBe(true);
    expect(model).toHaveLength(3);
  });
});
