import {
  autocast,
  Generator,
  getNumThreads,
  getRngState,
  grad,
  hasOperator,
  inferenceMode,
  manualSeed,
  noGrad,
  ops,
  setNumThreads,
  setRngState,
  supportsBfloat16,
  type Tensor,
  tensor,
  torchVersion,
} from "@iqvae/torch";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";

const { aten } = ops;
const leaf = (values: number[]) => tensor(values, { requiresGrad: true });
const values = (x: Tensor | null | undefined) => x && [...x.read("float32")];

describe("gradients", () => {
  test("backward accumulates into leaves; a gradient can be read, set and dropped", () => {
    const x = leaf([1, 2]);
    expect(x.grad).toBeUndefined();
    x.mul(x).sum().backward();
    x.mul(x).sum().backward();
    expect(values(x.grad)).toEqual([4, 8]);
    x.grad = tensor([1, 1]);
    expect(values(x.grad)).toEqual([1, 1]);
    for (const wrong of [
      tensor([1]),
      tensor([[1, 1]]),
      tensor([1, 1]).to("float64"),
      aten.ones([2], { device: "meta" }),
    ])
      expect(() => {
        x.grad = wrong;
      }).toThrow(
        /gradient of Float \[2\] on cpu must have its shape, dtype and device, but is (Float|Double) \[.+\] on (cpu|meta)/,
      );
    expect(() => {
      x.grad = x;
    }).toThrow("its own gradient");
    expect(values(x.grad)).toEqual([1, 1]);
    x.grad = undefined;
    expect(x.grad).toBeUndefined();
  });

  test("backward of more than a scalar takes a gradient", () => {
    const x = leaf([1, 2]);
    x.mul(3).backward(tensor([1, 10]));
    expect(values(x.grad)).toEqual([3, 30]);
    expect(() => x.mul(3).backward()).toThrow(/grad can be implicitly created only for scalar outputs/);
  });

  test("a graph serves once unless it is kept", () => {
    const x = leaf([2]);
    const y = x.mul(x).sum();
    y.backward(undefined, { retainGraph: true });
    y.backward();
    expect(values(x.grad)).toEqual([8]);
    expect(() => y.backward()).toThrow(/backward through the graph a second time/);
  });

  test("errors of backward carry no C++ frames", () => {
    const message = (() => {
      try {
        tensor([1]).sum().backward();
      } catch (error) {
        return (error as Error).message;
      }
      return "";
    })();
    expect(message).toMatch(/does not require grad/);
    expect(message).not.toMatch(/Exception raised from|frame #/);
  });

  test("an in-place change of what backward needs is noticed", () => {
    const x = leaf([1]);
    const y = x.exp(); // whose gradient is itself
    const loss = y.sum();
    y.detach().add_(1);
    expect(() => loss.backward()).toThrow(/modified by an inplace operation/);
  });

  test("grad() of chosen inputs leaves .grad alone and says null for what is unused", () => {
    const [x, y, unused] = [leaf([2]), leaf([3]), leaf([4])];
    const found = grad([x.mul(y).sum()], [x, unused, y]);
    expect(found.map(values)).toEqual([[3], null, [2]]);
    expect([x.grad, y.grad]).toEqual([undefined, undefined]);
    const weighted = grad([x.mul(1), y.mul(1)], [x, y], { gradients: [tensor([5]), tensor([7])] });
    expect(weighted.map(values)).toEqual([[5], [7]]);
  });

  test("createGraph gives second derivatives", () => {
    const x = leaf([3]);
    const [first] = grad([x.pow(3).sum()], [x], { createGraph: true });
    const [second] = grad([first!.sum()], [x]);
    expect([values(first), values(second)]).toEqual([[27], [18]]);
    const y = x.exp().sum();
    grad([y], [x], { createGraph: true }); // and leaves the first graph there
    expect(grad([y], [x])[0]!.item()).toBeCloseTo(Math.exp(3), 4);
  });
});

describe("modes", () => {
  test("noGrad and inferenceMode record nothing, return what the body returns, and end also by an error", () => {
    const x = leaf([1]);
    for (const mode of [noGrad, inferenceMode]) {
      expect(mode(() => x.mul(2).requiresGrad)).toBe(false);
      expect(x.mul(2).requiresGrad).toBe(true);
      expect(() =>
        mode(() => {
          throw new Error("inside");
        }),
      ).toThrow("inside");
      expect(x.mul(2).requiresGrad).toBe(true);
      expect(mode(() => mode(() => x.mul(2).requiresGrad))).toBe(false);
      expect(() => mode(async () => 1)).toThrow(
        `${mode.name}() got an asynchronous function; the mode would leak into other code`,
      );
      expect(x.mul(2).requiresGrad).toBe(true);
    }
  });

  test("tensors of inferenceMode stay out of gradients", () => {
    const frozen = inferenceMode(() => tensor([2]));
    expect(() => leaf([1]).mul(frozen).sum().backward()).toThrow(/[Ii]nference tensors cannot be saved for backward/);
  });
});

describe("autocast", () => {
  const a = aten.ones([2, 3]);
  const product = () => a.mm(a.t()).dtype;
  /** What is asked for as bfloat16: bfloat16.test.ts says why it is not that everywhere. */
  const narrow = supportsBfloat16() ? "bfloat16" : "float32";

  test("casts products down, sums up, and ends", () => {
    autocast({ dtype: "bfloat16" }, () => {
      expect(product()).toBe(narrow);
      expect(a.add(a).dtype).toBe("float32");
      expect(aten.linear(a, a).dtype).toBe(narrow);
      expect(aten.mse_loss(a.to(narrow), a.to(narrow)).dtype).toBe("float32");
    });
    expect(product()).toBe("float32");
    expect(() =>
      autocast({}, () => {
        throw new Error("inside");
      }),
    ).toThrow("inside");
    expect(product()).toBe("float32");
  });

  test("nests: each level has its dtype, and leaving one restores the one around it", () => {
    autocast({ dtype: "bfloat16" }, () => {
      autocast({ enabled: false }, () => expect(product()).toBe("float32"));
      expect(product()).toBe(narrow);
      // libtorch 1.13 has no float16 on the CPU and says so, which must change nothing either.
      const inHalf = () => autocast({ dtype: "float16" }, () => expect(product()).toBe("float16"));
      if (torchVersion().startsWith("1.")) expect(inHalf).toThrow("only support Bfloat16");
      else inHalf();
      expect(product()).toBe(narrow);
    });
    expect(product()).toBe("float32");
    if (torchVersion().startsWith("1.")) expect(() => autocast({ dtype: "float16" }, product)).toThrow();
    expect(product()).toBe("float32");
  });

  test("a weight that changed between two uses is cast anew", () => {
    const weight = leaf([1, 2, 3]).reshape([1, 3]).detach().requires_grad_(true);
    const use = () => autocast({ dtype: "bfloat16" }, () => aten.linear(a, weight).sum().item());
    expect(use()).toBe(12);
    noGrad(() => weight.mul_(2));
    expect(use()).toBe(24);
  });

  test.each(["cpu", "meta"])("weights used without gradients before are learned after, on %s", (device) => {
    for (const mode of [noGrad, inferenceMode, <T>(body: () => T) => noGrad(() => noGrad(body))]) {
      const weight = aten.ones([1, 3], { device }).requires_grad_(true);
      const use = () => aten.linear(aten.ones([2, 3], { device }), weight);
      const y = autocast({ device }, () => {
        mode(use);
        expect(() =>
          mode(() => {
            use();
            throw new Error("inside");
          }),
        ).toThrow("inside");
        return use();
      });
      expect(y.requiresGrad).toBe(true);
      y.to("float32").sum().backward();
      expect(weight.grad?.shape).toEqual([1, 3]);
    }
  });

  test("gradients reach float32 weights in float32", () => {
    const weight = aten.ones([1, 3]).requires_grad_(true);
    autocast({ dtype: "bfloat16" }, () => aten.linear(a, weight))
      .to("float32")
      .sum()
      .backward();
    expect(`${weight.grad}`).toBe("Tensor(float32 [1, 3])");
    expect(values(weight.grad)).toEqual([2, 2, 2]);
  });
});

describe("random numbers", () => {
  const draw = (generator: Generator) => values(aten.randn([5], { generator }));

  test("equal seeds give equal bits, other seeds others", async () => {
    await fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 63n - 1n), (seed) => {
        expect(draw(new Generator(seed))).toEqual(draw(new Generator(seed)));
        expect(draw(new Generator(seed))).not.toEqual(draw(new Generator(seed ^ 1n)));
        manualSeed(seed);
        const first = values(aten.rand([5]));
        manualSeed(seed);
        expect(values(aten.rand([5]))).toEqual(first);
      }),
      { numRuns: 30 },
    );
  });

  test("seeds of 64 bits are taken as PyTorch takes them", () => {
    expect(draw(new Generator(2n ** 64n - 1n))).toEqual(draw(new Generator(-1)));
    expect(draw(new Generator(0).manualSeed(2n ** 63n))).toEqual(draw(new Generator(-(2n ** 63n))));
  });

  test("equal seeds give equal bits whatever the thread count", () => {
    const threads = getNumThreads();
    try {
      const runs = [1, 2, 3].map((count) => {
        setNumThreads(count);
        expect(getNumThreads()).toBe(count);
        const generator = new Generator(5);
        return Buffer.from(aten.randn([100_000], { generator }).add(0).read("float32").buffer);
      });
      for (const run of runs) expect(run.equals(runs[0]!)).toBe(true);
    } finally {
      setNumThreads(threads);
    }
  });

  test("a generator's state can be saved, and goes on from there", () => {
    const generator = new Generator(3);
    draw(generator);
    aten.randn([1], { generator }); // an odd count leaves half of a pair of normal numbers inside
    const state = generator.getState();
    const next = [draw(generator), draw(generator)];
    generator.setState(state);
    expect([draw(generator), draw(generator)]).toEqual(next);
    const other = new Generator(99).setState(state);
    expect([draw(other), draw(other)]).toEqual(next);
    expect(draw(other.manualSeed(3))).toEqual(draw(new Generator(3)));
  });

  test("so can the default one's", () => {
    manualSeed(1);
    aten.rand([3]);
    const state = getRngState();
    const next = values(aten.randn([4]));
    manualSeed(2);
    setRngState(state);
    expect(values(aten.randn([4]))).toEqual(next);
    expect(draw(new Generator(1))).not.toEqual(next);
  });

  test("a state that is none is refused and changes nothing", () => {
    const generator = new Generator(3);
    const state = generator.getState();
    expect(() => generator.setState(Uint8Array.of(1, 2, 3))).toThrow(/RNG state|Expected/);
    expect(generator.getState()).toEqual(state);
  });

  test("a generator does not disturb the default one", () => {
    manualSeed(7);
    const alone = values(aten.rand([2]));
    manualSeed(7);
    draw(new Generator(1));
    expect(values(aten.rand([2]))).toEqual(alone);
  });

  test("multinomial draws by weight, without replacement each once", () => {
    const generator = new Generator(11);
    const weights = tensor([1, 2, 0, 5]);
    const counts = aten.bincount(aten.multinomial(weights, 20_000, true, { generator }), { minlength: 4 });
    const shares = values(counts.to("float32").div(20_000))!;
    [1 / 8, 2 / 8, 0, 5 / 8].forEach((share, i) => {
      expect(Math.abs(shares[i]! - share)).toBeLessThan(4 * Math.sqrt(0.25 / 20_000)); // four standard errors
    });
    expect(shares[2]).toBe(0);
    const each = aten.multinomial(weights, 3, { generator });
    expect([...each.read("int64")].sort()).toEqual([0n, 1n, 3n]);
  });
});

describe("threads", () => {
  const before = getNumThreads();
  afterEach(() => setNumThreads(before));

  test("are set and read; none at all is refused", () => {
    setNumThreads(1);
    expect(getNumThreads()).toBe(1);
    expect(() => setNumThreads(0)).toThrow(/positive|Expected/);
    expect(getNumThreads()).toBe(1);
  });
});

test("the version says what the library is, and decides nothing that hasOperator can", () => {
  expect(torchVersion()).toMatch(/^\d+\.\d+\.\d+/);
  expect(hasOperator("aten::mul")).toBe(true);
  expect(hasOperator("aten::mul.Tensor")).toBe(false);
});
