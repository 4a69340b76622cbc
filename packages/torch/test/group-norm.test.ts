import { GroupNorm, grad, manualSeed, noGrad, ops, type Tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";

const { aten } = ops;

/** What the layer computes, by libtorch's operators alone. */
function composed(x: Tensor, { weight, bias, eps }: GroupNorm, silu: boolean): Tensor {
  const normal = aten.group_norm(x, 2, weight, bias, eps);
  return silu ? aten.silu(normal) : normal;
}

function madeNorm(channels: number, silu: boolean): GroupNorm {
  manualSeed(4);
  const norm = new GroupNorm(2, channels, { eps: 0.01, silu });
  noGrad(() => [norm.weight.normal_(), norm.bias.normal_()]);
  return norm;
}

describe("GroupNorm against libtorch's", () => {
  test.each([[[3, 4]], [[3, 4, 7]], [[3, 4, 2, 5, 2]], [[0, 4, 6, 6]]])("of %j", (shape) => {
    for (const silu of [false, true]) {
      const norm = madeNorm(4, silu);
      const x = aten.randn(shape);
      const y = norm.forward(x);
      expect(y.shape).toEqual(shape);
      expect(y.equal(composed(x, norm, silu))).toBe(true);
    }
  });

  test.each([
    [false, "contiguous_format"],
    [false, "channels_last"],
    [true, "contiguous_format"],
    [true, "channels_last"],
  ] as const)("second and third derivatives, by any input; silu: %s, %s", (silu, memory_format) => {
    const norm = madeNorm(6, silu);
    const x = aten.randn([2, 6, 3, 4]).contiguous({ memory_format }).requires_grad_();
    const inputs = [x, norm.weight, norm.bias];
    const factors = [x, ...inputs].map(({ shape }) => aten.randn(shape));
    const derivatives = (y: Tensor) => {
      const firsts = grad([y], inputs, { gradients: factors.slice(0, 1), createGraph: true });
      const sum = firsts.map((first, i) => first!.mul(factors[i + 1]!).sum()).reduce((a, b) => a.add(b));
      const seconds = grad([sum], inputs, { createGraph: true });
      return [...firsts, ...seconds, ...grad([seconds[0]!.square().sum()], [x])];
    };
    const theirs = derivatives(composed(x, norm, silu));
    for (const [i, ours] of derivatives(norm.forward(x)).entries()) {
      // The bias has no second derivative without SiLU.
      expect(ours === null, `${i}`).toBe(theirs[i] === null);
      if (ours !== null) expect(ours.allclose(theirs[i]!, 1e-3, 1e-4), `${i}`).toBe(true);
    }
  });

  test("a second derivative in bfloat16 is that in float32 up to rounding", () => {
    const norm = madeNorm(6, true);
    const image = aten.randn([2, 6, 3, 4]).to("bfloat16");
    const second = (x: Tensor) => {
      const [first] = grad([norm.forward(x).float().square().sum()], [x], { createGraph: true });
      expect(first!.dtype).toBe(x.dtype);
      return grad([first!.float().square().sum()], [x])[0]!.float();
    };
    const [rounded, exact] = [image, image.float()].map((x) => second(x.requires_grad_())) as [Tensor, Tensor];
    expect(rounded.sub(exact).norm().div(exact.norm()).item()).toBeLessThan(0.02);
  });
});

test("a group norm refuses one value a group, which is its own mean", () => {
  const norm = new GroupNorm(3, 3);
  for (const shape of [
    [1, 3],
    [1, 3, 1, 1],
  ])
    expect(() => norm.forward(aten.ones(shape))).toThrow(/GroupNorm expects more than one value .* for 3 groups/);
  expect(new GroupNorm(1, 3).forward(aten.ones([1, 3])).shape).toEqual([1, 3]);
});
