import { existsSync, readFileSync } from "node:fs";
import {
  autocast,
  Conv2d,
  grad,
  manualSeed,
  ops,
  setNumThreads,
  supportsBfloat16,
  type Tensor,
  tensor,
} from "@iqvae/torch";
import { beforeEach, describe, expect, test } from "vitest";

const { aten, fused } = ops;
beforeEach(() => manualSeed(0));

const worst = (a: Tensor, b: Tensor): number => Number(a.sub(b).abs().max().item());
const made = (shape: number[], channelsLast = true): Tensor => {
  const x = aten.randn(shape);
  return (channelsLast ? x.contiguous({ memory_format: "channels_last" }) : x).requires_grad_();
};

interface Case {
  readonly x: number[];
  readonly outputs: number;
  readonly channelsLast?: boolean;
  readonly bias?: boolean;
}

/** Even and odd sides, sides of one, more tiles than are done at a time, widths that fill no vector, both layouts. */
const CASES: readonly Case[] = [
  { x: [2, 16, 8, 8], outputs: 16 },
  { x: [3, 16, 7, 5], outputs: 24 },
  { x: [1, 19, 1, 9], outputs: 17 },
  { x: [5, 32, 12, 14], outputs: 16, bias: false },
  { x: [2, 24, 6, 6], outputs: 32, channelsLast: false },
];

describe("fused.conv2d is aten.conv2d up to rounding, and so are its gradients", () => {
  test.each(CASES)("$x to $outputs", ({ x: shape, outputs, channelsLast = true, bias: hasBias = true }) => {
    const x = made(shape, channelsLast);
    const weight = made([outputs, shape[1]!, 3, 3]);
    const bias = hasBias ? aten.randn([outputs]).requires_grad_() : null;
    const inputs = bias === null ? [x, weight] : [x, weight, bias];
    const [ours, theirs] = [fused.conv2d, aten.conv2d].map((conv) => conv(x, weight, bias, [1, 1], [1, 1]));
    expect(ours!.shape).toEqual(theirs!.shape);
    expect(worst(ours!, theirs!)).toBeLessThan(1e-4);
    const slope = aten.randn_like(theirs!);
    const [gradients, expected] = [ours!, theirs!].map((y) => grad([y.mul(slope).sum()], inputs));
    for (const [i, gradient] of gradients!.entries()) {
      const scale = Number(expected![i]!.abs().max().item());
      expect(gradient!.shape).toEqual(inputs[i]!.shape);
      expect(worst(gradient!, expected![i]!) / scale, `gradient ${i}`).toBeLessThan(1e-5);
    }
  });
});

test.each([{}, { stride: 2, padding: 1 }, { dilation: 2 }, { groups: 2 }])(
  "no images give none, and gradients of zero: %j",
  (options) => {
    const layer = new Conv2d(4, 8, 3, options);
    const y = layer.forward(aten.zeros([0, 4, 6, 6]));
    expect(y.shape).toEqual([0, ...layer.forward(aten.zeros([1, 4, 6, 6])).shape.slice(1)]);
    y.sum().backward();
    expect(layer.weight.grad!.abs().sum().item()).toBe(0);
  },
);

test("other kernels, strides, paddings, types and few channels go to libtorch", () => {
  const cases: [number[], number[], number, number][] = [
    [[1, 16, 6, 6], [16, 16, 3, 3], 2, 1],
    [[1, 16, 6, 6], [16, 16, 3, 3], 1, 0],
    [[1, 16, 6, 6], [16, 16, 1, 1], 1, 1],
    [[1, 3, 6, 6], [16, 3, 3, 3], 1, 1],
    [[1, 16, 6, 6], [4, 16, 3, 3], 1, 1],
  ];
  for (const [shape, kernel, stride, padding] of cases) {
    const [x, weight] = [aten.randn(shape), aten.randn(kernel)];
    const sides = [[stride, stride] as [number, number], [padding, padding] as [number, number]] as const;
    expect(worst(fused.conv2d(x, weight, null, ...sides), aten.conv2d(x, weight, null, ...sides))).toBe(0);
  }
  const [wide, weight] = [
    aten.randn([1, 16, 4, 4], { dtype: "float64" }),
    aten.randn([16, 16, 3, 3], { dtype: "float64" }),
  ];
  expect(fused.conv2d(wide, weight, null, [1, 1], [1, 1]).dtype).toBe("float64");
  expect(() => fused.conv2d(aten.randn([1, 16, 4, 4]), aten.randn([16, 17, 3, 3]), null, [1, 1], [1, 1])).toThrow(/17/);
});

/** Kernel, stride, padding. */
const KERNELS = [
  [3, 1, 1],
  [4, 2, 1],
  [1, 1, 0],
] as const;

test.each(KERNELS)(
  "autocast rounds as it does for libtorch's: kernel %i, stride %i, padding %i",
  (side, stride, padding) => {
    const conv = new Conv2d(16, 16, side, { stride, padding });
    const x = aten.randn([2, 16, 4, 4]);
    const theirs = () => aten.conv2d(x, conv.weight, conv.bias, [stride, stride], [padding, padding]);
    for (const threads of [1, 2]) {
      setNumThreads(threads);
      const [y, expected] = autocast({ dtype: "bfloat16" }, () => [conv.forward(x), theirs()]);
      expect(y!.dtype).toBe(supportsBfloat16() ? "bfloat16" : "float32");
      expect(worst(y!.to("float32"), expected!.to("float32")), `${threads} threads`).toBeLessThan(1e-5);
    }
  },
);

const rounded = <T>(body: () => T): T => autocast({ dtype: "bfloat16" }, body);

/** Sides that tiles do and do not fill, channels that do and do not fill panels, an odd number of tiles, both layouts. */
const BF16_CASES: readonly Case[] = [
  { x: [3, 48, 14, 10], outputs: 64 },
  { x: [5, 64, 9, 7], outputs: 48, bias: false },
  { x: [1, 80, 25, 17], outputs: 96, channelsLast: false },
];

/** Whether the kernel for vectors of bfloat16 is taken: the processor has them, and no tiles, and all its instructions are allowed. */
const flags = existsSync("/proc/cpuinfo") ? readFileSync("/proc/cpuinfo", "utf8") : "";
const inVectors =
  /\bavx512_bf16\b/.test(flags) && !/\bamx_bf16\b/.test(flags) && process.env.ATEN_CPU_CAPABILITY === undefined;

describe.skipIf(!supportsBfloat16())("many channels in bfloat16", () => {
  const share = (a: Tensor, b: Tensor): number =>
    Math.sqrt(Number(a.to("float32").sub(b).square().mean().item()) / Number(b.square().mean().item()));

  test.each(BF16_CASES)("$x to $outputs, twice as far from float32 as libtorch's at most", (given) => {
    const { x: shape, outputs, channelsLast = true, bias: hasBias = true } = given;
    const [x, weight] = [made(shape, channelsLast), made([outputs, shape[1]!, 3, 3])];
    const bias = hasBias ? aten.randn([outputs]).mul(9).requires_grad_() : null;
    const inputs = bias === null ? [x, weight] : [x, weight, bias];
    const slope = aten.randn([shape[0]!, outputs, ...shape.slice(2)]);
    const all = (y: Tensor) => [y.to("float32"), ...grad([y.to("float32").mul(slope).sum()], inputs)] as Tensor[];
    const conv = (by: typeof fused.conv2d) => by(x, weight, bias, [1, 1], [1, 1]);
    const exact = all(conv(aten.conv2d as typeof fused.conv2d));
    const theirs = all(rounded(() => conv(aten.conv2d as typeof fused.conv2d)));
    const bits: Tensor[] = [];
    for (const threads of [1, 2, 3]) {
      setNumThreads(threads);
      const y = rounded(() => conv(fused.conv2d));
      expect(y.dtype).toBe("bfloat16");
      bits.push(y);
      for (const [i, mine] of all(y).entries()) {
        expect(mine.shape).toEqual(exact[i]!.shape);
        expect(share(mine, exact[i]!), `${["y", "x", "weight", "bias"][i]}, ${threads} threads`).toBeLessThan(
          2 * share(theirs[i]!, exact[i]!) + 1e-3,
        );
      }
    }
    expect(bits.map((y) => worst(y.to("float32"), bits[0]!.to("float32")))).toEqual([0, 0, 0]);
    expect(worst(bits[0]!.to("float32"), theirs[0]!) > 0, "differs from libtorch's").toBe(inVectors);
  });

  test("too few channels and too few tiles go to libtorch", () => {
    const cases: [number[], number][] = [
      [[4, 32, 16, 16], 64],
      [[4, 64, 16, 16], 32],
      [[4, 56, 16, 16], 64],
      [[1, 64, 14, 16], 64],
    ];
    for (const [shape, outputs] of cases) {
      const [x, weight] = [aten.randn(shape), aten.randn([outputs, shape[1]!, 3, 3])];
      const [ours, theirs] = [fused.conv2d, aten.conv2d].map((conv) =>
        rounded(() => conv(x, weight, null, [1, 1], [1, 1])).to("float32"),
      );
      expect(worst(ours!, theirs!), `${shape} to ${outputs}`).toBe(0);
    }
  });

  test("autocast leaves float64 as it is, and so does not mix it with float32", () => {
    const [x, weight] = [aten.randn([4, 64, 16, 16]), aten.randn([64, 64, 3, 3])];
    const conv = (...both: [Tensor, Tensor]) => rounded(() => fused.conv2d(...both, null, [1, 1], [1, 1]));
    expect(() => conv(x.to("float64"), weight)).toThrow(/[Dd]ouble|float64/);
    expect(conv(x.to("float64"), weight.to("float64")).dtype).toBe("float64");
    expect(worst(conv(x.to("bfloat16"), weight).to("float32"), conv(x, weight).to("float32"))).toBe(0);
  });

  test("a NaN stays near where it is, and a large number does not overflow", () => {
    const x = aten.ones([1, 48, 16, 16]);
    x.select(2, 8).select(2, 8).fill_(Number.NaN);
    x.select(2, 0).select(2, 0).fill_(1e38);
    const y = rounded(() => fused.conv2d(x, aten.ones([48, 48, 3, 3]).div(1e3), null, [1, 1], [1, 1])).to("float32");
    const wrong = aten.isnan(y).select(1, 0).select(0, 0).sum().item();
    expect(wrong).toBeGreaterThanOrEqual(9);
    expect(wrong).toBeLessThanOrEqual(16);
    expect(aten.isinf(y).sum().item()).toBe(0);
  });
});

describe("in bfloat16 on two threads", () => {
  const float = (tensors: readonly (Tensor | null)[]) => tensors.map((each) => each!.to("float32"));

  test.skipIf(!supportsBfloat16()).each([
    [3, 1, 1, 16, 24],
    [4, 2, 1, 16, 24],
    [1, 1, 0, 16, 24],
    [3, 1, 1, 48, 64],
  ] as const)(
    "gradients of weights are the sum of those of the halves of a batch, in float32: kernel %i, stride %i, padding %i, %i to %i",
    (side, stride, padding, given, outputs) => {
      const [x, slope] = [made([5, given, 12, 12]), aten.randn([5, outputs, 12 / stride, 12 / stride])];
      const [weight, bias] = [made([outputs, given, side, side]), aten.randn([outputs]).requires_grad_()];
      const inputs = [x, weight, bias];
      const gradients = (threads: number, first: number, last: number) => {
        setNumThreads(threads);
        const part = x.slice(0, first, last);
        const y = rounded(() => fused.conv2d(part, weight, bias, [stride, stride], [padding, padding]));
        return float(
          grad(
            [
              y
                .to("float32")
                .mul(slope.slice(0, first, last))
                .sum(),
            ],
            inputs,
          ),
        );
      };
      const [whole, upper, lower, alone] = [
        gradients(2, 0, 5),
        gradients(1, 0, 2),
        gradients(1, 2, 5),
        gradients(1, 0, 5),
      ];
      for (const i of [1, 2]) expect(worst(whole[i]!, upper[i]!.add(lower[i]!)), `gradient ${i}`).toBe(0);
      expect(worst(whole[0]!, alone[0]!)).toBe(0);
    },
  );

  test.each([
    [16, 4],
    [48, 12],
  ])("a second derivative, and what nobody asks for, of %i channels", (channels, side) => {
    setNumThreads(2);
    const [x, weight] = [made([2, channels, side, side]), made([channels, channels, 3, 3])];
    const penalty = (conv: typeof fused.conv2d) => {
      const y = rounded(() => conv(x, weight, null, [1, 1], [1, 1])).to("float32");
      const [slope] = grad([y.square().sum()], [x], { createGraph: true });
      return grad([slope!.square().sum()], [weight])[0]!;
    };
    const [ours, theirs] = [penalty(fused.conv2d), penalty(aten.conv2d as typeof fused.conv2d)];
    // One sum is rounded where the other is not.
    expect(worst(ours, theirs) / Number(theirs.abs().max().item())).toBeLessThan(2 ** -7);
    const planes = x.detach();
    rounded(() => fused.conv2d(planes, weight, null, [1, 1], [1, 1]))
      .sum()
      .backward();
    expect(planes.grad).toBeUndefined();
    expect(weight.grad?.shape).toEqual(weight.shape);
    expect(() => rounded(() => fused.conv2d(x, made([channels, 17, 3, 3]), null, [1, 1], [1, 1]))).toThrow(/17/);
  });
});

test("equal bits at every run, and the gradient of a frozen weight is not computed", () => {
  setNumThreads(2);
  const [x, weight] = [made([4, 16, 16, 16]), made([16, 16, 3, 3])];
  const run = () => {
    const y = fused.conv2d(x, weight, null, [1, 1], [1, 1]);
    return [y, ...grad([y.square().sum()], [x, weight])].map((each) => each!.detach());
  };
  const [first, second] = [run(), run()];
  for (const [i, each] of first.entries()) expect(each.eq(second[i]!).all().item()).toBe(1);
  const frozen = weight.detach();
  const y = fused.conv2d(x, frozen, null, [1, 1], [1, 1]);
  y.sum().backward();
  expect(frozen.grad).toBeUndefined();
  expect(x.grad?.shape).toEqual(x.shape);
});

/** The gradients of the squares of all gradients of a convolution, by all that they depend on. */
function secondDerivatives(y: Tensor, inputs: Tensor[], slope: Tensor): Tensor[] {
  return grad([y], inputs, { gradients: [slope], createGraph: true }).flatMap((gradient, i) => {
    const others = [...inputs.filter((_, j) => j !== i), slope];
    return grad([gradient!.to("float32").square().sum()], others, { retainGraph: true }) as Tensor[];
  });
}

test.each([true, false])("a second derivative is libtorch's, by any input; channels last: %s", (channelsLast) => {
  const inputs = [made([2, 16, 4, 5], channelsLast), made([24, 16, 3, 3])] as [Tensor, Tensor];
  const slope = made([2, 24, 4, 5], channelsLast);
  const [ours, theirs] = [fused.conv2d, aten.conv2d].map((conv) =>
    secondDerivatives(conv(...inputs, null, [1, 1], [1, 1]), inputs, slope),
  );
  for (const [i, each] of ours!.entries())
    expect(worst(each, theirs![i]!) / Number(theirs![i]!.abs().max().item()), `gradient ${i}`).toBeLessThan(1e-4);
});

test.skipIf(!supportsBfloat16()).each([
  [1, 20, 24],
  [2, 20, 24],
  [2, 48, 64],
])(
  "a second derivative in bfloat16 is that in float32, by any input: %i threads, %i to %i",
  (threads, given, outputs) => {
    setNumThreads(threads);
    const leaf = (shape: number[]) => made(shape).detach().to("bfloat16").to("float32").requires_grad_();
    const inputs = [leaf([2, given, 12, 12]), leaf([outputs, given, 3, 3])] as [Tensor, Tensor];
    const slope = leaf([2, outputs, 12, 12]);
    const ours = rounded(() => fused.conv2d(...inputs, null, [1, 1], [1, 1]));
    const low = slope.detach().to("bfloat16").requires_grad_();
    const expected = secondDerivatives(aten.conv2d(...inputs, null, [1, 1], [1, 1]), inputs, slope);
    for (const [i, each] of secondDerivatives(ours, inputs, low).entries())
      expect(worst(each, expected[i]!) / Number(expected[i]!.abs().max().item()), `gradient ${i}`).toBeLessThan(0.02);
  },
);

test("a NaN stays near where it is", () => {
  const x = aten.zeros([1, 16, 8, 8]).contiguous({ memory_format: "channels_last" });
  x.select(2, 0).select(2, 0).fill_(Number.NaN);
  const y = fused.conv2d(x, aten.ones([16, 16, 3, 3]), tensor(Array.from({ length: 16 }, () => 1)), [1, 1], [1, 1]);
  expect(y.slice(2, 4).eq(1).all().item()).toBe(1);
});
