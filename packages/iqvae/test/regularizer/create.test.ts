import { Generator, grad, ops, scope, type Tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import {
  createRegularizer,
  DISTANCES,
  type Estimator,
  entropic,
  normalized,
  paired,
  regularizerSchema,
  sliced,
} from "../../src/regularizer/index.ts";
import { drawPositions } from "../../src/regularizer/sliced.ts";
import { estimateOf, gaussian, relativeError } from "./support.ts";

describe("regularizerSchema", () => {
  test("fills in the defaults", () => {
    expect(regularizerSchema.parse({ estimator: "sliced" })).toEqual({
      estimator: "sliced",
      weight: 0.2,
      samples: 1024,
      directions: 50,
      features: "unit",
      normalize: false,
      gradient: "both",
    });
    expect(regularizerSchema.parse({ estimator: "paired" })).toEqual({
      estimator: "paired",
      weight: 0.2,
      pairs: "batch",
      samples: null,
      distance: "cosine",
      gradient: "both",
    });
    expect(regularizerSchema.parse({ estimator: "entropic" })).toEqual({
      estimator: "entropic",
      weight: 0.2,
      samples: 128,
      distance: "cosine",
      epsilon: 0.01,
      normalize: false,
      gradient: "both",
    });
    expect(regularizerSchema.parse({ estimator: "none" })).toEqual({ estimator: "none" });
  });

  test.each([
    [{ estimator: "paired", normalize: true }, /normalize/],
    [{ estimator: "paired", directions: 3 }, /directions/],
    [{ estimator: "paired", pairs: "image", samples: 64 }, /samples.*pairs 'batch'/s],
    [{ estimator: "sliced", samples: 1 }, /samples/],
    [{ estimator: "sliced", weight: -1 }, /weight/],
    [{ estimator: "entropic", epsilon: 0 }, /epsilon/],
    [{ estimator: "wasserstein" }, /estimator/],
  ])("names what is wrong in %j", (config, message) => {
    expect(() => regularizerSchema.parse(config)).toThrow(message);
  });
});

/** [B, d, h, w] as rows, the slow way. */
const rows = (map: ReturnType<typeof gaussian>) => map.permute([0, 2, 3, 1]).reshape([-1, map.shape[1]!]);

describe("createRegularizer", () => {
  const [zX, zC] = [gaussian(1, 2, 6, 3, 4), gaussian(2, 2, 5, 3, 4)];

  test("uses every position when there are not more than samples", () => {
    const came = createRegularizer({ estimator: "paired" })(zX, zC, new Generator(3)).item();
    expect(came).toBeCloseTo(estimateOf(paired(), rows(zX), rows(zC)), 12);
    const raw = createRegularizer({ estimator: "sliced", features: "raw", directions: 4000 })(zX, zC, new Generator(3));
    expect(raw.item() / estimateOf(sliced({ directions: 4000 }), rows(zX), rows(zC))).toBeCloseTo(1, 1);
  });

  const entropy = { distance: "sqeuclidean", epsilon: 0.5 } as const;
  test.each([
    [{ estimator: "sliced", features: "raw", directions: 3 }, sliced({ directions: 3 })],
    [{ estimator: "sliced", features: "raw", directions: 3, normalize: true }, normalized(sliced({ directions: 3 }))],
    [{ estimator: "entropic", ...entropy }, entropic(entropy)],
    [{ estimator: "entropic", ...entropy, normalize: true }, normalized(entropic(entropy))],
  ] as const)("%j: the estimator is told all that is configured", (config, estimator) => {
    const generator = new Generator(3);
    const at = drawPositions(24, 24, "cpu", generator);
    const [x, c] = [zX, zC].map((map) => rows(map).index_select(0, at));
    const wanted = estimator(x!, c!, generator).item();
    expect(createRegularizer(config)(zX, zC, new Generator(3)).item()).toBe(wanted);
  });

  test.each(DISTANCES)("compares places of one image alone where it is told to, %s", (distance) => {
    const both = [zX, zC].map((map) => map.clone());
    for (const map of both) map.requiresGrad = true;
    const image = (map: Tensor, i: number) => rows(map.slice(0, i, i + 1));
    const value = createRegularizer({ estimator: "paired", pairs: "image", distance })(both[0]!, both[1]!);
    const wanted = [0, 1].map((i) => paired({ distance })(image(both[0]!, i), image(both[1]!, i)));
    const mean = wanted[0]!.add(wanted[1]!).div(2);
    expect(value.item()).toBeCloseTo(mean.item(), 12);
    const [came, right] = [value, mean].map((scalar) => grad([scalar], both));
    for (const side of [0, 1]) expect(relativeError(came![side]!, right![side]!)).toBeLessThan(1e-10);
    const batch = createRegularizer({ estimator: "paired", distance })(zX, zC).item();
    expect(Math.abs(batch - value.item()) / batch).toBeGreaterThan(1e-3);
  });

  test("draws the same positions on both sides of one grid", () => {
    const same = gaussian(1, 2, 6, 3, 4);
    const value = createRegularizer({ estimator: "paired", samples: 7 })(zX, same, new Generator(3)).item();
    expect(value).toBeCloseTo(0, 14);
  });

  test("draws as many positions as asked, others at every call, equal ones for equal seeds", () => {
    const regularizer = createRegularizer({ estimator: "paired", samples: 7 });
    const x = gaussian(1, 2, 6, 3, 4);
    x.requiresGrad = true;
    const generator = new Generator(3);
    const touched = () =>
      grad([regularizer(x, zC, generator)], [x])[0]!
        .abs()
        .sum([1])
        .gt(0);
    const [first, second] = [touched(), touched()];
    expect(first.sum().item()).toBe(7);
    expect(second.equal(first)).toBe(false);
    generator.manualSeed(3);
    expect(touched().equal(first)).toBe(true);
  });

  test.each(["contiguous", "channels_last"] as const)("puts gradients where the features came from, %s", (layout) => {
    const x = layout === "contiguous" ? zX.clone() : ops.aten.contiguous(zX, { memory_format: "channels_last" });
    x.requiresGrad = true;
    const came = grad([createRegularizer({ estimator: "paired" })(x, zC, new Generator(3))], [x])[0]!;
    const flat = rows(zX).detach().clone();
    flat.requiresGrad = true;
    const wanted = grad([paired()(flat, rows(zC))], [flat])[0]!;
    expect(relativeError(rows(came), wanted)).toBeLessThan(1e-10);
  });

  test.each(["paired", "sliced", "entropic"] as const)("%s can leave either encoder alone", (estimator) => {
    const sides = [zX, zC].map((map) => map.clone());
    for (const side of sides) side.requiresGrad = true;
    const gradients = (gradient: "both" | "condition" | "image") => {
      const value = createRegularizer({ estimator, gradient })(sides[0]!, sides[1]!, new Generator(3));
      return { value: value.item(), sides: grad([value], sides) };
    };
    const both = gradients("both");
    for (const [gradient, moved] of [
      ["image", 0],
      ["condition", 1],
    ] as const) {
      const one = gradients(gradient);
      expect(one.value).toBe(both.value);
      expect(one.sides[1 - moved]).toBeNull();
      expect(both.sides[moved]!.abs().max().item()).toBeGreaterThan(0);
      expect(relativeError(one.sides[moved]!, both.sides[moved]!)).toBeLessThan(1e-12);
    }
  });

  test("draws each side by itself when the grids differ", () => {
    const other = gaussian(2, 2, 5, 2, 2);
    for (const estimator of ["sliced", "entropic"] as const) {
      const value = createRegularizer({ estimator, samples: 6 })(zX, other, new Generator(3)).item();
      expect(value).toBeGreaterThan(0);
    }
    expect(() => createRegularizer({ estimator: "paired" })(zX, other)).toThrow(
      "the paired regularizer compares equal places and expects equal B, h and w, but got zX [2, 6, 3, 4] and zC [2, 5, 2, 2]; " +
        'choose the estimator "sliced" or "entropic" for grids that differ',
    );
  });

  test("says what is no feature map", () => {
    expect(() => createRegularizer({ estimator: "sliced" })(zX, gaussian(1, 4, 3))).toThrow(
      "the regularizer expects feature maps, zX [B, d, h, w] and zC [B, d', h', w'], but got zX [2, 6, 3, 4] and zC [4, 3]",
    );
  });

  test("of unit features does not see their length and is on the scale of cosine distances", () => {
    const [x, c] = [gaussian(1, 4, 64, 8, 8), gaussian(2, 4, 32, 8, 8)];
    const regularizer = createRegularizer({ estimator: "sliced" });
    const value = regularizer(x, c, new Generator(3)).item();
    expect(regularizer(x.mul(9), c.mul(0.1), new Generator(3)).item()).toBeCloseTo(value, 10);
    // On a line of directions the expected squared difference of a projection is 1 − cos.
    const [a, b] = [x.slice(2, 0, 1).slice(3, 0, 1), x.slice(2, 1, 2).slice(3, 0, 1)];
    const point = createRegularizer({ estimator: "sliced", directions: 20_000 });
    const two = scope(() => ops.aten.cat([a.slice(0, 0, 1), b.slice(0, 0, 1)], { dim: 2 }));
    const nothing = two.mul(0);
    const distance = ops.aten
      .cosine_similarity(rows(a).slice(0, 0, 1), rows(b).slice(0, 0, 1))
      .rsub(1)
      .item();
    // Two points against one: the mean over 4 pairs of (δ²)², and E[δ⁴] = 3 (E δ²)² d/(d + 2).
    const wanted = (0.5 * 3 * distance ** 2 * 64) / 66;
    expect(point(two, nothing, new Generator(3)).item() / wanted).toBeCloseTo(1, 1);
  });
});

describe("normalized", () => {
  test("is Bunne's formula, with both pairs of halves across", () => {
    const [x, c] = [gaussian(1, 10, 4), gaussian(2, 10, 3)];
    const half = (z: typeof x, from: number) => z.slice(0, from, from + 5);
    const value = (a: typeof x, b: typeof x) => estimateOf(entropic(), a, b);
    const wanted =
      value(half(x, 0), half(c, 0)) +
      value(half(x, 5), half(c, 5)) -
      value(half(x, 0), half(x, 5)) -
      value(half(c, 0), half(c, 5));
    expect(estimateOf(normalized(entropic()), x, c)).toBeCloseTo(wanted, 12);
  });

  test("leaves out the middle of an odd number, and takes sides of different size", () => {
    const seen: number[][] = [];
    const spy: Estimator = (zX, zC) => {
      seen.push([zX.shape[0]!, zC.shape[0]!]);
      return zX.sum();
    };
    normalized(spy)(gaussian(1, 7, 4), gaussian(2, 10, 3));
    expect(seen).toEqual([
      [3, 5],
      [3, 5],
      [3, 3],
      [5, 5],
    ]);
  });

  test("is about 0 for two draws of one distribution, where the plain estimate is not", () => {
    const estimator = createRegularizer({ estimator: "sliced", normalize: true, samples: 4000 });
    const plain = createRegularizer({ estimator: "sliced", samples: 4000 });
    const [x, c] = [gaussian(1, 1, 4, 10, 10), gaussian(2, 1, 4, 10, 10)];
    const bias = plain(x, c, new Generator(3)).item();
    expect(bias).toBeGreaterThan(0);
    expect(Math.abs(estimator(x, c, new Generator(3)).item())).toBeLessThan(2 * bias);
  });

  test("says when there is nothing to halve", () => {
    expect(() => normalized(sliced())(gaussian(1, 1, 4), gaussian(2, 10, 3))).toThrow(
      "normalized() splits each side into two halves, but got 1 and 10 rows; give 2 or more",
    );
  });
});
