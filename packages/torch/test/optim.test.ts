import {
  Adam,
  AdamW,
  clipGradNorm,
  clipGradNorm_,
  decayMatrices,
  Ema,
  linearRamp,
  liveTensors,
  type Optimizer,
  ops,
  SGD,
  scope,
  type Tensor,
  tensor,
  warmupCosine,
} from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectClose, type GoldenCase, readGoldens } from "./goldens.ts";
import { ImageNet } from "./nets.ts";

const { aten } = ops;
const goldens = new Map([...readGoldens("nn.safetensors"), ...readGoldens("modules.safetensors")]);
const bits = (tensors: ReadonlyMap<string, Tensor>) =>
  [...tensors].map(([name, each]) => [name, [...each.detach().read("float32")]]);
const values = (x: Tensor) => [...x.detach().read("float32")];

/** What makes an optimizer of a net's parameters. */
type Make = (parameters: ReadonlyMap<string, Tensor>) => Pick<Optimizer<{ lr: number }, unknown>, keyof AdamW>;

/** The training of tools/golden_nn.py. */
class Training {
  readonly net = new ImageNet();
  readonly parameters = this.net.namedParameters();
  readonly ema: Ema;
  readonly losses: number[] = [];
  readonly norms: number[] = [];
  readonly #golden: GoldenCase;
  steps = 0;
  optimizer: ReturnType<Make>;

  constructor(
    golden: GoldenCase,
    readonly make: Make,
    readonly clip: number,
  ) {
    this.#golden = golden;
    this.net.loadStateDict(golden.get("start")!);
    this.ema = new Ema(this.parameters);
    this.optimizer = make(this.parameters);
  }

  /** @param inPlace clips the gradients themselves, and not in the optimizer's pass */
  step(inPlace = false): void {
    scope(() => {
      this.optimizer.zeroGrad();
      const data = this.#golden.get("data")!;
      const loss = this.net.forward(data.get("x")!).mse_loss(data.get("target")!);
      loss.backward();
      const { scale, norm } = clipGradNorm(this.parameters.values(), this.clip);
      if (inPlace) expect(clipGradNorm_(this.parameters.values(), this.clip).item()).toBe(norm.item());
      this.steps += 1;
      this.optimizer.lr = 0.05 / this.steps;
      this.optimizer.step(inPlace ? {} : { gradientScale: scale });
      this.ema.update(0.7);
      this.losses.push(loss.item());
      this.norms.push(norm.item());
    });
  }
}

const SETTINGS = { betas: [0.8, 0.95], eps: 1e-6, lr: 0 } as const;
const adamW: Make = (parameters) => new AdamW(decayMatrices(parameters, 0.1), SETTINGS);
const momentum = { momentum: 0.8, lr: 0 };

const CASES: [name: string, make: Make, clip: number, states: string[]][] = [
  ["AdamW", adamW, 1e9, ["first", "second"]],
  ["AdamW on all, clipped", (p) => new AdamW(p, { ...SETTINGS, weightDecay: 0.1 }), 0.5, ["first", "second"]],
  ["Adam", (p) => new Adam(p), 1e9, ["first", "second"]],
  ["Adam with decay", (p) => new Adam(p, { ...SETTINGS, weightDecay: 0.1 }), 0.5, ["first", "second"]],
  ["SGD", (p) => new SGD(p, { weightDecay: 0.1 }), 1e9, []],
  ["SGD with momentum", (p) => new SGD(p, { ...momentum, weightDecay: 0.1 }), 0.5, ["momentum"]],
  ["SGD by Nesterov", (p) => new SGD(p, { ...momentum, nesterov: true }), 1e9, ["momentum"]],
];

describe("optimizers, clipping and averaging against PyTorch, ten steps", () => {
  const both = CASES.flatMap((each) => [[...each, false] as const, [...each, true] as const]);
  test.each(both)("%s", (name, make, clip, states, inPlace) => {
    const golden = goldens.get(name)!;
    const run = new Training(golden, make, clip);
    for (let step = 0; step < 10; step++) run.step(inPlace);
    const tolerance = { relative: 1e-4, absolute: 2e-5 };
    const compare = (role: string, got: ReadonlyMap<string, Tensor>) => {
      const expected = golden.get(role)!;
      expect([...got.keys()].sort()).toEqual([...expected.keys()].sort());
      for (const [path, each] of got) expectClose(each, expected.get(path)!, `${role} ${path}`, tolerance);
    };
    compare("end", run.parameters);
    compare("average", run.ema.stateDict());
    const state = [...run.optimizer.stateDict()];
    for (const role of states) {
      const mine = state.filter(([path]) => path.endsWith(`.${role}`));
      compare(role, new Map(mine.map(([path, each]) => [path.slice(0, -role.length - 1), each])));
    }
    if (states.length === 0) expect(state).toEqual([]);
    expectClose(tensor(run.losses), golden.get("curve")!.get("loss")!, "losses", tolerance);
    expectClose(tensor(run.norms), golden.get("curve")!.get("norm")!, "norms", tolerance);
  });

  test.each(CASES)("%s, stopped after any step, saved and restored, goes on in the same bits", (name, make) => {
    const golden = goldens.get(name)!;
    const alone = new Training(golden, make, 0.5);
    for (let step = 0; step < 4; step++) alone.step();
    for (let stop = 0; stop <= 4; stop++) {
      const run = new Training(golden, make, 0.5);
      for (let step = 0; step < stop; step++) run.step();
      const old = run.optimizer;
      run.optimizer = make(run.parameters);
      run.optimizer.loadStateDict(old.stateDict());
      for (let step = stop; step < 4; step++) run.step();
      expect(bits(run.parameters)).toEqual(bits(alone.parameters));
    }
  });

  test.each(CASES)("a step of %s leaves no tensor behind", (name, make) => {
    const run = new Training(goldens.get(name)!, make, 0.5);
    run.step();
    const before = liveTensors();
    run.step();
    expect(liveTensors()).toBe(before);
  });
});

describe("AdamW", () => {
  const parameter = (numbers: number[]) => tensor(numbers, { requiresGrad: true });

  test("by hand: the first step moves each weight by the rate, whatever the gradient's size", () => {
    const x = parameter([1, 1]);
    x.grad = tensor([0.001, -1000]);
    new AdamW([x], { lr: 0.1, eps: 1e-12, weightDecay: 0.5 }).step();
    // 1·(1 − 0.1·0.5) ∓ 0.1
    expect(values(x)[0]).toBeCloseTo(0.85, 5);
    expect(values(x)[1]).toBeCloseTo(1.05, 5);
  });

  test("leaves a tensor without a gradient untouched, its moments too", () => {
    const [x, y] = [parameter([1]), parameter([1])];
    const optimizer = new AdamW(new Map(Object.entries({ x, y })), { lr: 0.1 });
    x.grad = tensor([1]);
    optimizer.step();
    expect(values(x)[0]).toBeLessThan(1);
    expect([...values(y), ...values(optimizer.stateDict().get("y.first")!)]).toEqual([1, 0]);
  });

  test.each(["float32", "float64"] as const)(
    "corrects for the updates that a tensor has had, also when its first comes late, in %s",
    (dtype) => {
      const late = () => {
        const [x, y] = [1, 1].map((value) => tensor([value], { dtype, requiresGrad: true })) as [Tensor, Tensor];
        return {
          x,
          y,
          optimizer: new AdamW(new Map(Object.entries({ x, y })), { lr: 0.01, eps: 1e-12, weightDecay: 0 }),
        };
      };
      const { x, y, optimizer } = late();
      const gradient = tensor([0.5], { dtype });
      x.grad = gradient;
      for (let step = 0; step < 5; step++) optimizer.step();
      y.grad = gradient;
      optimizer.lr = 0.1;
      optimizer.step();
      expect(y.detach().item()).toBeCloseTo(0.9, 6); // a first update moves by the rate
      const updates = (of: AdamW) => ["x", "y"].map((name) => of.stateDict().get(`${name}.updates`)!.item());
      expect(updates(optimizer)).toEqual([6, 1]);

      const again = late();
      for (const [own, other] of [
        [again.x, x],
        [again.y, y],
      ] as const) {
        own.detach().copy_(other);
        own.grad = gradient;
      }
      again.optimizer.loadStateDict(optimizer.stateDict());
      again.optimizer.lr = 0.1;
      for (const each of [optimizer, again.optimizer]) each.step();
      expect([again.x.detach().item(), again.y.detach().item()]).toEqual([x.detach().item(), y.detach().item()]);
      expect(updates(again.optimizer)).toEqual([7, 2]);
    },
  );

  test("takes one minus a decay in double, as PyTorch does", () => {
    const x = parameter([1]);
    x.grad = tensor([1]);
    const optimizer = new AdamW(new Map([["x", x]]));
    optimizer.step();
    const moment = (name: string) => optimizer.stateDict().get(`x.${name}`)!.item();
    expect([moment("first"), moment("second")]).toEqual([0.1, 0.001].map(Math.fround));
  });

  test("zeroGrad drops all gradients", () => {
    const x = parameter([1]);
    x.grad = tensor([1]);
    new AdamW([x]).zeroGrad();
    expect(x.grad).toBeUndefined();
  });

  test("a backward pass that is under way when weights change is refused", () => {
    const x = parameter([2]);
    const y = x.mul(x).sum();
    x.grad = tensor([1]);
    new AdamW([x]).step();
    expect(() => y.backward()).toThrow(/modified by an inplace operation/);
  });

  test("whatever the layouts and dtypes, the fused pass and libtorch's own operators agree", async () => {
    const arbitrary = fc.record({
      shape: fc.tuple(...[1, 2, 3, 4].map(() => fc.integer({ min: 1, max: 5 }))),
      weightLast: fc.boolean(),
      gradientLast: fc.boolean(),
      seed: fc.nat(),
      scale: fc.option(fc.double({ min: 0.1, max: 2, noNaN: true })),
    });
    await fc.assert(
      fc.property(arbitrary, ({ shape, weightLast, gradientLast, scale }) =>
        scope(() => {
          const laid = (x: Tensor, last: boolean) => (last ? x.contiguous({ memory_format: "channels_last" }) : x);
          const start = aten.randn(shape);
          const narrow = laid(start.clone(), weightLast).requires_grad_(true);
          const precise = start.to("float64").requires_grad_(true); // too wide for the fused pass
          const optimizers = [narrow, precise].map((x) => new AdamW([x], { lr: 0.1, weightDecay: 0.1 }));
          for (let step = 0; step < 3; step++) {
            const gradient = aten.randn(shape);
            narrow.grad = laid(gradient, gradientLast);
            precise.grad = gradient.to("float64");
            for (const optimizer of optimizers)
              optimizer.step(scale === null ? {} : { gradientScale: tensor([scale]) });
          }
          expectClose(narrow.detach(), precise.detach().to("float32"), "weights");
        }),
      ),
      { numRuns: 50 },
    );
  });

  test("a state of another model is refused, and changes nothing", () => {
    const optimizer = new AdamW(new Map([["x", parameter([1])]]));
    const state = optimizer.stateDict();
    for (const name of ["x.first", "x.second", "x.updates"]) {
      const lacking = new Map([...state].filter(([other]) => other !== name));
      lacking.set("x.first", lacking.has("x.first") ? tensor([5]) : tensor([5, 5]));
      expect(() => optimizer.loadStateDict(lacking)).toThrow(name);
    }
    expect(() => optimizer.loadStateDict(new Map([...state, ["y.first", tensor([1])]]))).toThrow("'y.first'");
    expect(optimizer.stateDict().get("x.first")!.item()).toBe(0);
  });
});

describe("clipGradNorm", () => {
  const withGradient = (numbers: number[], shape = [numbers.length]) => {
    const x = aten.zeros(shape).requires_grad_(true);
    x.grad = tensor(Float32Array.from(numbers), { shape });
    return x;
  };

  test("the joint norm of all gradients, those absent left out, and the factor to the bound", () => {
    const parameters = [
      withGradient([3, 0]),
      aten.zeros([2]).requires_grad_(true),
      withGradient([0, 4, 0, 12], [2, 2]),
    ];
    const { scale, norm } = clipGradNorm(parameters, 6.5);
    expect(norm.item()).toBe(13);
    expect(scale.item()).toBeCloseTo(0.5, 6);
    expect(clipGradNorm(parameters, 20).scale.item()).toBe(1);
    expect(values(parameters[0]!.grad!)).toEqual([3, 0]);
  });

  test("no gradient at all, and one that is not finite", () => {
    expect(clipGradNorm([], 1).norm.item()).toBe(0);
    expect(clipGradNorm([], 1).scale.item()).toBe(1);
    expect(clipGradNorm([withGradient([Number.NaN])], 1).norm.item()).toBeNaN();
    expect(clipGradNorm([withGradient([Number.POSITIVE_INFINITY])], 1).norm.item()).toBe(Number.POSITIVE_INFINITY);
  });

  test("one that float32 cannot hold is infinite, however gradients lie in memory", () => {
    const [dense, spread] = [withGradient([3e38, 3e38]), withGradient([0, 0])];
    spread.grad = tensor([3e38]).expand([2]);
    for (const each of [dense, spread]) expect(clipGradNorm([each], 1).norm.item()).toBe(Number.POSITIVE_INFINITY);
  });

  test("the norm of float64 gradients has their digits and their range", () => {
    const [x, y] = [1e60, 1e60 / 3].map((number) => {
      const parameter = aten.zeros([1], { dtype: "float64" }).requires_grad_(true);
      parameter.grad = tensor([number], { dtype: "float64" });
      return parameter;
    }) as [Tensor, Tensor];
    expect(clipGradNorm_([x, y, withGradient([3])], 2).item() / (1e60 * Math.sqrt(10 / 9))).toBeCloseTo(1, 14);
    expect(x.grad!.item()).toBeCloseTo(2 * Math.sqrt(0.9), 14);
  });

  test("large and small gradients neither overflow nor vanish more than float32 makes them", () => {
    const many = aten.zeros([100_003]).requires_grad_(true);
    many.grad = aten.full([100_003], 0.01, { dtype: "float32" });
    expect(clipGradNorm([many], 1).norm.item()).toBeCloseTo(0.01 * Math.sqrt(100_003), 4);
  });
});

describe("Ema", () => {
  test("by hand, and swapped in and back also by an error", () => {
    const weight = tensor([1, 2], { requiresGrad: true });
    const ema = new Ema(new Map([["w", weight]]));
    const average = () => values(ema.stateDict().get("w")!);
    expect(average()).toEqual([1, 2]);
    weight.detach().copy_(tensor([3, 6]));
    ema.update(0.75);
    expect(average()).toEqual([1.5, 3]);
    expect(ema.swappedIn(() => values(weight))).toEqual([1.5, 3]);
    expect(() =>
      ema.swappedIn(() => {
        throw new Error("inside");
      }),
    ).toThrow("inside");
    expect([values(weight), average()]).toEqual([
      [3, 6],
      [1.5, 3],
    ]);
  });

  test("while swapped in, it stays so within itself, and keeps what is whose", () => {
    const weight = tensor([1], { requiresGrad: true });
    const ema = new Ema(new Map([["w", weight]]));
    weight.detach().fill_(3);
    ema.update(0.5);
    ema.swappedIn(() => {
      expect(ema.swappedIn(() => values(weight))).toEqual([2]);
      expect([values(weight), values(ema.stateDict().get("w")!)]).toEqual([[2], [2]]);
      ema.update(0.5);
      expect(values(weight)).toEqual([2.5]);
      ema.loadStateDict(new Map([["w", tensor([7])]]));
    });
    expect([values(weight), values(ema.stateDict().get("w")!)]).toEqual([[3], [7]]);
    const twice = new Map([
      ["w", weight],
      ["v", weight],
    ]);
    expect(() => new Ema(twice)).toThrow(/Ema: the weight 'v' is given twice/);
  });

  test("restores, and refuses what belongs to another model", () => {
    const ema = new Ema(new Map([["w", tensor([1], { requiresGrad: true })]]));
    ema.loadStateDict(new Map([["w", tensor([5])]]));
    expect(values(ema.stateDict().get("w")!)).toEqual([5]);
    ema.update(1);
    expect(values(ema.stateDict().get("w")!)).toEqual([5]);
    expect(() => ema.loadStateDict(new Map())).toThrow("'w' is missing");
    expect(() => ema.loadStateDict(new Map([["w", [5] as never]]))).toThrow("'w' is [5], not a tensor");
  });
});

describe("schedules", () => {
  test("warm-up and cosine are PyTorch's LinearLR and CosineAnnealingLR one after the other", () => {
    const rates = [...goldens.get("warmupCosine")!.get("curve")!.get("rate")!.read("float64")];
    rates.forEach((rate, step) => {
      const ours = warmupCosine({ step, total: 50, warmup: 8, peak: 0.01, floor: 0.001 });
      expect(Math.abs(ours - rate), `step ${step}`).toBeLessThan(1e-9);
    });
  });

  test("warm-up and cosine rise to the peak, fall to the floor, and stay within", async () => {
    const settings = fc.record({
      total: fc.integer({ min: 1, max: 1000 }),
      warmup: fc.nat({ max: 300 }),
      peak: fc.double({ min: 1e-5, max: 1, noNaN: true }),
    });
    await fc.assert(
      fc.property(settings, fc.nat({ max: 2000 }), ({ total, warmup, peak }, step) => {
        const at = (s: number) => warmupCosine({ step: s, total, warmup, peak, floor: peak / 10 });
        expect(at(step)).toBeGreaterThan(0);
        expect(at(step)).toBeLessThanOrEqual(peak * (1 + 1e-12));
        if (step + 1 < warmup) expect(at(step + 1)).toBeGreaterThan(at(step));
        if (step >= warmup) expect(at(step + 1)).toBeLessThanOrEqual(at(step));
        if (step >= Math.max(total, warmup + 1)) expect(at(step)).toBeCloseTo(peak / 10, 12);
      }),
    );
  });

  test("a linear ramp goes from one to the other and stays", () => {
    const at = (step: number, over = 4) => linearRamp({ step, over, from: 1, to: 3 });
    expect([0, 1, 2, 4, 9].map((step) => at(step))).toEqual([1, 1.5, 2, 3, 3]);
    expect(at(0, 0)).toBe(3);
  });
});
