import {
  autocast,
  buffer,
  Conv2d,
  Embedding,
  GroupNorm,
  grad,
  groupNorm,
  LayerNorm,
  Linear,
  liveTensors,
  Module,
  manualSeed,
  noGrad,
  ops,
  scope,
  type Tensor,
  tensor,
} from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BFLOAT16, readGoldens, type Tolerance } from "./goldens.ts";
import { checkLayer, type Subject } from "./layer-check.ts";
import { ImageNet, TokenNet } from "./nets.ts";

const { aten } = ops;
const goldens = readGoldens("nn.safetensors");
const check = (name: string, layer: Subject, options?: Parameters<typeof checkLayer>[2]) =>
  checkLayer(goldens.get(name)!, layer, { name, ...options });

const autocastBfloat16 = <T>(body: () => T): T => autocast({ dtype: "bfloat16" }, body);

describe("layers against PyTorch, forward and backward", () => {
  test.each<[string, () => Subject]>([
    ["Linear", () => new Linear(5, 4)],
    ["Linear without bias", () => new Linear(5, 4, { bias: false })],
    ["Conv2d", () => new Conv2d(3, 4, 3, { padding: 1 })],
    ["Conv2d stride 2", () => new Conv2d(3, 4, 4, { stride: 2, padding: 1 })],
    ["Conv2d 1x1 without bias", () => new Conv2d(3, 4, 1, { bias: false })],
    ["LayerNorm", () => new LayerNorm(6)],
    ["GroupNorm", () => new GroupNorm(3, 6, { eps: 1e-6 })],
    ["GroupNorm of one group", () => new GroupNorm(1, 5, { eps: 1e-6 })],
    ["GroupNorm with SiLU", () => new GroupNorm(2, 8, { eps: 1e-6, silu: true })],
    ["ImageNet", () => new ImageNet()],
    ["TokenNet", () => new TokenNet()],
  ])("%s", (name, make) => {
    check(name, make());
  });

  // The two libraries round at different places, and so do versions of PyTorch itself.
  test("a small variance shows ε, which is PyTorch's unless given", () => {
    scope(() => {
      const small = tensor([[-0.001, 0.001]]);
      const image = small.reshape([1, 2, 1, 1]);
      const normal = (eps: number) => 0.001 / Math.sqrt(1e-6 + eps);
      const largest = (x: Tensor) => x.abs().max().item();
      for (const [options, eps] of [
        [{}, 1e-5],
        [{ eps: 1e-3 }, 1e-3],
      ] as const) {
        expect(largest(new LayerNorm(2, options).forward(small))).toBeCloseTo(normal(eps), 5);
        expect(largest(new GroupNorm(1, 2, options).forward(image))).toBeCloseTo(normal(eps), 5);
      }
    });
  });

  test("ImageNet in bfloat16", () => {
    check("ImageNet in bfloat16", new ImageNet(), { run: autocastBfloat16, tolerance: wide(0.1) });
  });

  test("TokenNet in bfloat16", () => {
    check("TokenNet in bfloat16", new TokenNet(), { run: autocastBfloat16, tolerance: wide(0.1) });
  });

  test("the tolerance of bfloat16 would not let float16's range or a wrong layer pass", () => {
    const broken = new TokenNet();
    expect(() =>
      check("TokenNet in bfloat16", Object.assign(broken, { forward: (ids: Tensor) => broken.embed.forward(ids) }), {
        run: autocastBfloat16,
        tolerance: wide(0.1),
      }),
    ).toThrow();
  });
});

const wide = (absolute: number): Tolerance => ({ ...BFLOAT16, absolute });

describe("the fused group norm", () => {
  const deviation = (grouped: Tensor): Tensor =>
    grouped
      .sub(grouped.mean([2], true))
      .square()
      .mean([2], true)
      .add(1e-6)
      .sqrt();

  const compose = (x: Tensor, groups: number, weight: Tensor, bias: Tensor, silu: boolean): Tensor => {
    const [B, C, H, W] = x.shape as [number, number, number, number];
    const grouped = x.reshape([B, groups, (C / groups) * H * W]);
    const centered = grouped.sub(grouped.mean([2], true));
    const normal = centered.div(deviation(grouped)).reshape([B, C, H, W]);
    const out = normal.mul(weight.reshape([C, 1, 1])).add(bias.reshape([C, 1, 1]));
    return silu ? out.mul(out.sigmoid()) : out;
  };

  const shapes = fc.record({
    B: fc.integer({ min: 1, max: 3 }),
    groups: fc.integer({ min: 1, max: 5 }),
    width: fc.integer({ min: 1, max: 20 }),
    H: fc.integer({ min: 1, max: 7 }),
    W: fc.integer({ min: 2, max: 7 }),
    silu: fc.boolean(),
    last: fc.boolean(),
    scale: fc.constantFrom(0.01, 1, 60),
    offset: fc.constantFrom(0, 3),
    seed: fc.nat(),
  });

  test.each(["float32", "bfloat16", "float64"] as const)("of any shape is the formula, in %s", async (dtype) => {
    // In bfloat16 the input is exact, the output is rounded, and the gradient comes in rounded.
    const tolerance = { float32: 2e-4, bfloat16: 2e-2, float64: 1e-9 }[dtype];
    await fc.assert(
      fc.property(shapes, ({ B, groups, width, H, W, silu, last, scale, offset, seed }) =>
        scope(() => {
          manualSeed(seed);
          const C = groups * width;
          const image = aten.randn([B, C, H, W]).mul(scale).add(offset).to(dtype);
          const x = (last ? image.contiguous({ memory_format: "channels_last" }) : image).requires_grad_(true);
          const affine = () =>
            (dtype === "float64" ? aten.randn([C], { dtype }) : aten.randn([C])).requires_grad_(true);
          const [weight, bias] = [affine(), affine()];
          const dy = aten.randn([B, C, H, W]).to(dtype);
          const y = groupNorm(x, groups, weight, bias, 1e-6, silu);
          expect(`${y}`).toBe(`${x}`);
          const got = [y, ...grad([y], [x, weight, bias], { gradients: [dy] })];

          const exact = [x, weight, bias].map((each) => each.detach().to("float64").requires_grad_(true));
          const [X, w, b] = exact as [Tensor, Tensor, Tensor];
          const reference = compose(X, groups, w, b, silu);
          const expected = [reference, ...grad([reference], exact, { gradients: [dy.to("float64")] })];
          // What the gradient of the input is the difference of; the difference itself may vanish.
          const slope = w
            .abs()
            .max()
            .mul(dy.to("float64").abs().max())
            .div(deviation(X.reshape([B, groups, -1])).min());
          got.forEach((value, i) => {
            const wanted = expected[i]!;
            const size = Math.max(wanted.abs().max().item(), i === 1 ? slope.item() : 0);
            const error = value!.to("float64").sub(wanted).abs().max().item();
            expect(error, `${["y", "dx", "dweight", "dbias"][i]} of size ${size}`).toBeLessThanOrEqual(
              tolerance * (size + 1),
            );
          });
        }),
      ),
      { numRuns: 60 },
    );
  });

  test("keeps the layout", () => {
    const x = aten.randn([2, 4, 3, 3]).contiguous({ memory_format: "channels_last" });
    expect(new GroupNorm(2, 4).forward(x).strides).toEqual(x.strides);
  });

  test("lets NaN and infinity through instead of hiding them", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const x = aten.ones([1, 4, 2, 2]);
      x.select(1, 0).fill_(bad);
      expect(new GroupNorm(1, 4, { silu: true }).forward(x).isnan().any().item()).toBe(1);
    }
  });

  test("refuses what does not divide", () => {
    expect(() => new GroupNorm(3, 4)).toThrow(new RangeError("GroupNorm: 4 channels do not divide into 3 groups"));
    expect(() => groupNorm(aten.ones([1, 4, 2, 2]), 3, aten.ones([4]), aten.ones([4]), 1e-6, false)).toThrow(
      "4 channels do not divide into 3 groups",
    );
    expect(() => groupNorm(aten.ones([4]), 2, aten.ones([4]), aten.ones([4]), 1e-6, false)).toThrow(
      "group_norm_silu expects [B, C, …], but got 1 dimensions",
    );
    expect(() => groupNorm(aten.ones([1, 4, 2, 2]), 2, aten.ones([3]), aten.ones([4]), 1e-6, false)).toThrow(
      "group_norm_silu of 4 channels expects as many weights and biases, but got [3] and [4]",
    );
  });
});

describe("modules", () => {
  class Block extends Module {
    readonly layers = [new Linear(2, 3), new Linear(3, 2)];
    readonly scale = buffer(() => tensor([2]));
    readonly empty = null;
    readonly note = "text";
    _scratch = tensor([0]);
  }
  class Model extends Module {
    readonly first = new Block();
    readonly last = new LayerNorm(2);
  }

  test("name parameters and buffers by path, in order of declaration", () => {
    const model = new Model();
    const block = ["first.layers.0.weight", "first.layers.0.bias", "first.layers.1.weight", "first.layers.1.bias"];
    expect([...model.stateDict().keys()]).toEqual([...block, "first.scale", "last.weight", "last.bias"]);
    expect([...model.namedParameters().keys()]).toEqual([...block, "last.weight", "last.bias"]);
    expect(model.parameterCount()).toBe(6 + 3 + 6 + 2 + 2 + 2);
    expect(model.stateDict().get("first.layers.1.bias")).toBe(model.first.layers[1]?.bias);
  });

  test("keep their tensors when made inside a scope", () => {
    const model = scope(() => ({ model: new Model() })).model;
    for (const [name, each] of model.namedParameters()) expect(each.isReleased, name).toBe(false);
  });

  test("name tensors that were released, too, so that all may be released again", () => {
    const model = new Model();
    for (let i = 0; i < 2; i++) for (const each of model.stateDict().values()) each.dispose();
    expect([...model.stateDict().values()].every(({ isReleased }) => isReleased)).toBe(true);
    expect(model.eval().training).toBe(false);
  });

  test("layer norm takes bfloat16 beside weights in float32, as autocast hands it on", () => {
    const layer = new LayerNorm(8);
    noGrad(() => layer.weight.normal_());
    const x = aten.randn([3, 8]).bfloat16().requires_grad_();
    const y = layer.forward(x);
    expect(y.equal(layer.forward(x.float()).bfloat16())).toBe(true);
    y.square().sum().backward();
    expect([x.grad?.dtype, layer.weight.grad?.dtype]).toEqual(["bfloat16", "float32"]);
    expect(layer.to("bfloat16").forward(x).dtype).toBe("bfloat16"); // all in one
  });

  test("start as PyTorch's do: uniform within one over the root of the inputs, gains one, shifts zero", () => {
    manualSeed(3);
    const linear = new Linear(400, 300);
    const conv = new Conv2d(16, 64, 5);
    for (const weight of [linear.weight, linear.bias!, conv.weight, conv.bias!]) {
      const spread = weight.detach().mul(20).to("float64"); // both have 400 inputs, so that the bound is 1/20
      expect(spread.abs().max().item()).toBeLessThanOrEqual(1);
      expect(Math.abs(spread.mean().item())).toBeLessThan(4 / Math.sqrt(3 * spread.numel()));
      expect(Math.abs(spread.square().mean().item() - 1 / 3)).toBeLessThan(1.2 / Math.sqrt(spread.numel()));
    }
    const norm = new GroupNorm(2, 4);
    expect([...norm.weight.read("float32"), ...norm.bias.read("float32")]).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
    const table = new Embedding(1000, 50, { std: 0.02 }).weight.detach();
    expect(table.std().item()).toBeCloseTo(0.02, 3);
    expect(Math.abs(table.mean().item())).toBeLessThan(0.001);
  });

  test("start equal by equal seeds", () => {
    const bits = () => {
      manualSeed(9);
      return [...new Model().stateDict()].map(([name, each]) => [name, [...each.read("float32")]]);
    };
    expect(bits()).toEqual(bits());
  });

  test("load copies values, keeps the tensors, and goes round", () => {
    const [source, target] = [new Model(), new Model()];
    const before = target.stateDict().get("last.weight");
    source.first.scale.fill_(7);
    target.loadStateDict(source.stateDict());
    for (const [name, each] of target.stateDict())
      expect([...each.read("float32")], name).toEqual([...source.stateDict().get(name)!.read("float32")]);
    expect(target.stateDict().get("last.weight")).toBe(before);
    expect(before?.requiresGrad).toBe(true);
  });

  test("load that does not fit names everything and changes nothing", () => {
    const model = new Model();
    const wrong = new Map(new Model().stateDict());
    wrong.delete("last.bias");
    wrong.set("last.weight", aten.ones([3]));
    wrong.set("other", aten.ones([1]));
    wrong.set("first.scale", tensor([99]));
    const live = liveTensors();
    expect(() => model.loadStateDict(wrong)).toThrow(
      new Error(
        "the weights do not fit the model: 'last.weight' has shape [3], but the model needs [2]; 'last.bias' is missing; 'other' is not in the model",
      ),
    );
    expect(model.first.scale.item()).toBe(2);
    expect(liveTensors()).toBe(live);
    expect(() => model.loadStateDict(new Map(Array.from({ length: 12 }, (_, i) => [`x${i}`, tensor([1])])))).toThrow(
      /; and 11 more$/,
    );
  });

  test("load that need not fit copies what both have, says what it passed over, and takes no other shape", () => {
    const model = new Model();
    const bias = [...model.last.bias!.read("float32")];
    const part = new Map(new Model().stateDict());
    part.delete("last.bias");
    part.set("other", aten.ones([1]));
    part.set("first.scale", tensor([99]));
    const strict = false;
    expect(model.loadStateDict(part, { strict })).toEqual({ missingKeys: ["last.bias"], unexpectedKeys: ["other"] });
    expect(model.first.scale.item()).toBe(99);
    expect([...model.last.bias!.read("float32")]).toEqual(bias);
    expect(model.loadStateDict(model.stateDict())).toEqual({ missingKeys: [], unexpectedKeys: [] });
    part.set("last.weight", aten.ones([3])).set("first.scale", tensor([7]));
    expect(() => model.loadStateDict(part, { strict })).toThrow(/: 'last.weight' has shape \[3\], but .*\[2\]$/);
    expect(model.first.scale.item()).toBe(99);
    expect(() => model.loadStateDict(part, { strict: 0 as never })).toThrow("strict must be true or false");
  });
});
