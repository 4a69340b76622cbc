import { getNumThreads, manualSeed, ops, scope, setNumThreads, Tensor, tensor } from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeToken, inLargePages, packPanels, panelLinear } from "../../src/support/kernels.ts";
import { type Decoding, decodedPlainly, decoding, type Sizes } from "./decoding.ts";

const randn = (...shape: number[]): Tensor => ops.aten.randn(shape);
const PRECISIONS = ["float32", "bfloat16"] as const;
const SIZES: Sizes = { L: 2, B: 7, N: 3, H: 2, D: 12, hidden: 50, P: 9, S: 6, codes: 45 };

const call = ({ x, weights, of, position, codes, eps, ...caches }: Decoding): Tensor =>
  decodeToken(x, weights, caches, of, position, { codes, eps });

/** From plain operators in float64, with copies of the caches. */
function expected(given: Decoding): Tensor {
  const exact = <T>(value: T): T =>
    (Array.isArray(value)
      ? value.map(exact)
      : value instanceof Tensor && value.is_floating_point()
        ? value.clone().to("float64")
        : value) as T;
  return decodedPlainly(
    Object.fromEntries(Object.entries(given).map(([name, value]) => [name, exact(value)])) as never,
  )[0]!;
}

/** The largest difference, as a share of the largest value. */
function apart(a: Tensor, b: Tensor): number {
  const difference = a.to("float64").sub(b).abs().max().item();
  return difference / Math.max(1, b.abs().max().item());
}

const bits = (x: Tensor): readonly number[] => [...x.to("float32").contiguous().read("float32")];

/** The sequence `b` of a case alone, or all of them, with caches of its own. */
function part(given: Decoding, b: number, end = b + 1): Decoding {
  const own = (list: readonly Tensor[]): Tensor[] => list.map((each) => each.slice(0, b, end).clone());
  const [x, of] = own([given.x, given.of]) as [Tensor, Tensor];
  return { ...given, x, of, keys: own(given.keys), values: own(given.values) };
}

describe.each(PRECISIONS)("a token, weights and caches in %s", (precision) => {
  test("is what plain operators make of it, for any sizes", () => {
    const size = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
    fc.assert(
      fc.property(
        fc.record({
          ...{ L: size(2), B: size(19), N: size(3), H: size(3), D: size(20) },
          ...{ hidden: size(70), P: size(40), S: size(40), codes: size(100) },
        }),
        fc.nat(39),
        (sizes, place) => {
          scope(() => {
            const given = { ...decoding(sizes, precision)(), position: place % sizes.S };
            const wanted = expected(given);
            const came = call(given);
            expect(came.shape).toEqual([sizes.B, sizes.codes]);
            // A key is rounded to bfloat16 in the cache alone.
            expect(apart(came, wanted)).toBeLessThan(precision === "float32" ? 2e-5 : 2e-2);
          });
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });

  test("has the same bits in any batch and on any number of threads", () => {
    const threads = getNumThreads();
    try {
      scope(() => {
        const given = decoding(SIZES, precision)();
        setNumThreads(1);
        const rows = Array.from({ length: SIZES.B }, (_, b) => part(given, b));
        const wanted = rows.map((row) => [bits(call(row)), ...[...row.keys, ...row.values].map(bits)]);
        for (const count of [1, 2, 3]) {
          setNumThreads(count);
          const all = part(given, 0, SIZES.B);
          const logits = call(all);
          for (let b = 0; b < SIZES.B; b++) {
            const of = (x: Tensor) => bits(x.slice(0, b, b + 1));
            expect([logits, ...all.keys, ...all.values].map(of)).toEqual(wanted[b]);
          }
        }
      });
    } finally {
      setNumThreads(threads);
    }
  });
});

test.each(PRECISIONS)(
  "products of rows have the same bits in any batch and on any number of threads, in %s",
  (precision) => {
    const threads = getNumThreads();
    try {
      scope(() => {
        const [x, weight, bias] = [randn(5, 70, 40), randn(45, 40), randn(45)];
        const panels = packPanels(weight.to(precision));
        for (const gelu of [false, true]) {
          const linear = (rows: Tensor) => panelLinear(rows, panels, bias, { outputs: 45, gelu });
          setNumThreads(1);
          const wanted = Array.from({ length: 5 }, (_, b) => bits(linear(x.slice(0, b, b + 1))));
          for (const count of [1, 2, 3]) {
            setNumThreads(count);
            const all = linear(x);
            expect(wanted.map((_, b) => bits(all.slice(0, b, b + 1)))).toEqual(wanted);
          }
        }
      });
    } finally {
      setNumThreads(threads);
    }
  },
);

test("what fills up an odd number of inputs in bfloat16 counts for nothing, whatever was in its memory before", () => {
  scope(() => {
    const [x, panels] = [randn(64, 33), packPanels(randn(40, 33).to("bfloat16"))];
    // Rows of pairs and rows of single numbers, in the sizes that the kernel asks for.
    for (const size of [64 * 17, 64 * 34]) {
      const before = Array.from({ length: 8 }, () => ops.aten.full([size], Number.NaN, { dtype: "float32" }));
      for (const each of before) each.dispose();
      expect(panelLinear(x, panels, null, { outputs: 40, gelu: false }).isfinite().all().item()).toBe(1);
    }
  });
});

test("copies in large pages share no memory, of many sizes and none", () => {
  scope(() => {
    const given = [randn(3), randn(1000, 700), randn(0, 2), randn(5, 5)];
    const copies = inLargePages(given);
    for (const [i, copy] of copies.entries()) {
      copy.fill_(i);
      expect(copies.slice(i + 1).every((later, j) => later.equal(given[i + 1 + j]!))).toBe(true);
    }
    expect(copies.map((copy) => copy.sum().item())).toEqual([0, 700_000, 0, 75]);
    expect(() => inLargePages([randn(2), randn(2).to("bfloat16")])).toThrow("bfloat16");
  });
});

test("memory in large pages that was let go of is used again, and never by two at once", () => {
  const big = (value: number): Tensor => ops.aten.full([700_000], value, { dtype: "float32" });
  scope(() => {
    for (let round = 0; round < 3; round++) {
      const [one, two] = [1, 2].map((value) => inLargePages([big(value)])[0]!) as [Tensor, Tensor];
      one.dispose();
      const three = inLargePages([big(3)])[0]!;
      const four = inLargePages([big(4)])[0]!;
      expect([two, three, four].map((each) => each.mean().item())).toEqual([2, 3, 4]);
      for (const each of [two, three, four]) each.dispose();
    }
  });
});

test("threads that come late or are held up change nothing, again and again", () => {
  const threads = getNumThreads();
  try {
    scope(() => {
      const given = decoding({ ...SIZES, L: 6, hidden: 200 }, "float32")();
      setNumThreads(1);
      const wanted = bits(call(given));
      setNumThreads(5);
      for (let time = 0; time < 300; time++) scope(() => expect(bits(call(given))).toEqual(wanted));
    });
  } finally {
    setNumThreads(threads);
  }
});

test("only the place of the token is written", () => {
  scope(() => {
    const given = { ...decoding(SIZES, "float32")(), position: 4 };
    const before = part(given, 0, SIZES.B);
    call(given);
    for (let l = 0; l < SIZES.L; l++)
      for (let t = 0; t < SIZES.S; t++) {
        expect(given.keys[l]!.select(4, t).equal(before.keys[l]!.select(4, t)), `keys at ${t}`).toBe(t !== 4);
        expect(given.values[l]!.select(2, t).equal(before.values[l]!.select(2, t)), `values at ${t}`).toBe(t !== 4);
      }
  });
});

test("GELU holds far out", () => {
  scope(() => {
    const steps = 601;
    const given = decoding({ ...SIZES, L: 1, B: 1, N: 1, H: 1, D: 2, hidden: steps, codes: 2 }, "float32")();
    // Normalization passes ±1 on; the expansion makes it −30 … 30.
    const expansion = ops.aten
      .linspace(-30, 30, steps)
      .unsqueeze(1)
      .mul(tensor([[1, 0]]));
    const weights = given.weights
      .with(6, ops.aten.ones([2]))
      .with(7, ops.aten.zeros([2]))
      .with(8, packPanels(expansion));
    expect(apart(call({ ...given, weights }), expected({ ...given, weights }))).toBeLessThan(2e-5);
  });
});

test("large scores do not overflow", () => {
  scope(() => {
    const given = decoding({ ...SIZES, L: 1 }, "float32")();
    const weights = given.weights.with(2, given.weights[2]!.mul(1e4));
    const wanted = expected({ ...given, weights });
    const came = call({ ...given, weights });
    expect(came.isfinite().all().item()).toBe(1);
    expect(apart(came, wanted)).toBeLessThan(1e-3);
  });
});

test("says what does not fit", () => {
  manualSeed(1);
  scope(() => {
    const given = decoding({ ...SIZES, L: 1 }, "float32")();
    const wrong = (change: Partial<Decoding>) => expect(() => call({ ...given, ...change }));
    wrong({ position: 6 }).toThrow("decode_token: position 6 lies outside the cache of 6");
    wrong({ x: randn(7, 23) }).toThrow("x [7, 23], caches of 2 heads of 12 features");
    wrong({ of: tensor(BigInt64Array.of(0n, 1n, 2n, 3n, 0n, 0n, 0n)) }).toThrow("sequence 3 names prefix 3 of 3");
    wrong({ weights: given.weights.with(10, packPanels(randn(24, 51))) }).toThrow(
      "panels [1, 2, 50, 16] of a weight [24, 50] for the contraction, but got [1, 2, 51, 16]",
    );
    wrong({ values: [given.values[0]!.slice(0, 1)] }).toThrow("own_v [6, 2, 6, 12]");
    wrong({ keys: [] }).toThrow("decode_token expects for each layer 12 weights and 4 caches");
    expect(() => packPanels(randn(2, 4, 3))).toThrow("pack_panels expects a weight [O, I]");
  });
});

test("refuses caches that share memory, with one another or with what is read", () => {
  scope(() => {
    const given = decoding({ ...SIZES, L: 2, N: 7, P: 6 }, "float32")();
    const wrong = (change: Partial<Decoding>) => expect(() => call({ ...given, ...change }));
    wrong({ keys: [given.keys[0]!, given.keys[0]!] }).toThrow("memory of its own");
    const shared = given.keys.map((each) =>
      each
        .view([-1])
        .slice(0, 0, 7 * 2 * 6 * 12)
        .view([7, 2, 6, 12]),
    );
    wrong({ values: shared }).toThrow("memory of its own");
    wrong({ prefixKeys: given.prefixKeys.with(1, given.keys[0]!) }).toThrow("memory of its own");
    expect(call(given).shape).toEqual([7, 45]);
  });
});
