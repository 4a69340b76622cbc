import { manualSeed, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addNorm_, decodeAttention, packPanels, panelLinear } from "../../src/support/kernels.ts";

const randn = (...shape: number[]): Tensor => ops.aten.randn(shape);
const far = (a: Tensor, b: Tensor): number => a.to("float64").sub(b.to("float64")).abs().max().item();
const PRECISIONS = ["float32", "bfloat16"] as const;

describe.each(PRECISIONS)("panel_linear with %s weights", (precision) => {
  test("is linear, for any sizes", () => {
    manualSeed(1);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 19 }),
        fc.integer({ min: 1, max: 70 }),
        fc.integer({ min: 1, max: 100 }),
        fc.boolean(),
        fc.boolean(),
        (B, I, O, biased, gelu) => {
          scope(() => {
            const [x, weight] = [randn(B, I), randn(O, I).to(precision)];
            const bias = biased ? randn(O) : null;
            const y = panelLinear(x, packPanels(weight), bias, O, gelu);
            const plain = ops.aten.linear(x.to("float64"), weight.to("float64"), bias?.to("float64") ?? null);
            expect(y.shape).toEqual([B, O]);
            expect(far(y, gelu ? ops.aten.gelu(plain) : plain)).toBeLessThan(2e-5);
          });
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });

  test("a row has the same bits in any batch", () => {
    scope(() => {
      const [x, panels] = [randn(13, 50), packPanels(randn(40, 50).to(precision))];
      const all = panelLinear(x, panels, null, 40, true);
      for (let i = 0; i < 13; i++) {
        const one = panelLinear(x.slice(0, i, i + 1).contiguous(), panels, null, 40, true);
        expect(one.read("float32")).toEqual(
          all
            .slice(0, i, i + 1)
            .contiguous()
            .read("float32"),
        );
      }
    });
  });
});

test("the fused GELU holds far out", () => {
  scope(() => {
    const x = ops.aten.linspace(-12, 12, 4001, { dtype: "float32" }).view([4001, 1]);
    const one = packPanels(tensor([[1]]));
    const got = panelLinear(x, one, null, 1, true);
    expect(far(got, ops.aten.gelu(x.to("float64")))).toBeLessThan(5e-7);
  });
});

describe("add_norm_", () => {
  test.each([1, 15, 16, 48, 100])("width %i: adds in place, and normalizes", (width) => {
    scope(() => {
      const [x, y, gain, offset] = [randn(3, width), randn(3, width), randn(width), randn(width)];
      const sum = x.add(y);
      const normal = addNorm_(x, y, gain, offset, 1e-5);
      expect(far(x, sum)).toBe(0);
      const [wide, ...affine] = [sum, gain, offset].map((each) => each.to("float64")) as [Tensor, Tensor, Tensor];
      expect(far(normal, ops.aten.layer_norm(wide, [width], ...affine))).toBeLessThan(1e-5);
      expect(far(addNorm_(x, null, gain, offset, 1e-5), normal)).toBe(0);
    });
  });

  test("memory that is not contiguous", () => {
    scope(() => {
      const [x, y, gain, offset] = [randn(20, 3).t(), randn(3, 20), randn(20), randn(20)];
      const sum = x.add(y);
      expect(far(addNorm_(x, y, gain, offset, 1e-5), ops.aten.layer_norm(sum, [20], gain, offset))).toBe(0);
    });
  });
});

describe("decode_attention", () => {
  interface Sizes {
    B: number;
    N: number;
    H: number;
    D: number;
    P: number;
    S: number;
  }
  const make = ({ B, N, H, D, P, S }: Sizes, dtype: (typeof PRECISIONS)[number]) => ({
    qkv: randn(B, 3 * H * D),
    prefixKeys: randn(N, H, D, P).to(dtype),
    prefixValues: randn(N, H, P, D).to(dtype),
    keys: randn(B, H, D, S).to(dtype),
    values: randn(B, H, S, D).to(dtype),
    of: tensor(BigInt64Array.from({ length: B }, (_, b) => BigInt((b * 2) % N))),
  });
  type Case = ReturnType<typeof make>;
  const call = (c: Case, position: number): Tensor =>
    decodeAttention(c.qkv, c.prefixKeys, c.prefixValues, c.keys, c.values, c.of, position);

  /** The same from plain operators in float64. Call it before the cache is written to. */
  function expected(c: Case, position: number): { out: Tensor; keys: Tensor; values: Tensor } {
    const [B, H, D] = c.keys.shape as [number, number, number];
    const [q, k, v] = c.qkv.view([B, 3, H, D]).unbind(1) as [Tensor, Tensor, Tensor];
    const [keys, values] = [c.keys.clone(), c.values.clone()];
    keys.select(3, position).copy_(k);
    values.select(2, position).copy_(v);
    const all = (prefix: Tensor, own: Tensor, time: number): Tensor =>
      ops.aten.cat([prefix.index_select(0, c.of), own.slice(time, 0, position + 1)], time).to("float64");
    const scores = q
      .unsqueeze(2)
      .to("float64")
      .div(Math.sqrt(D))
      .matmul(all(c.prefixKeys, keys, 3));
    const out = scores.softmax(-1).matmul(all(c.prefixValues, values, 2));
    return { out: out.reshape([B, H * D]), keys, values };
  }

  test.each(PRECISIONS)("attends to its prefix and its own past, %s", (precision) => {
    manualSeed(2);
    const size = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
    fc.assert(
      fc.property(
        fc.record({ B: size(5), N: size(3), H: size(3), D: size(20), P: size(40), S: size(40) }),
        fc.nat(39),
        (sizes, place) => {
          scope(() => {
            const given = make(sizes, precision);
            const position = place % sizes.S;
            const wanted = expected(given, position);
            expect(far(call(given, position), wanted.out)).toBeLessThan(1e-5);
            expect(far(given.keys, wanted.keys)).toBe(0);
            expect(far(given.values, wanted.values)).toBe(0);
          });
        },
      ),
      { numRuns: 60, seed: 2 },
    );
  });

  test("the plain way, for what is not contiguous, agrees", () => {
    scope(() => {
      const given = make({ B: 3, N: 2, H: 2, D: 8, P: 5, S: 7 }, "float32");
      const wanted = expected(given, 4);
      const strided = { ...given, prefixKeys: given.prefixKeys.transpose(2, 3).contiguous().transpose(2, 3) };
      expect(far(call(strided, 4), wanted.out)).toBeLessThan(1e-5);
      expect(far(given.keys, wanted.keys)).toBe(0);
    });
  });

  test("large scores do not overflow", () => {
    scope(() => {
      const given = make({ B: 1, N: 1, H: 1, D: 4, P: 3, S: 2 }, "float32");
      const loud = { ...given, qkv: given.qkv.mul(1e4) };
      const wanted = expected(loud, 0);
      expect(far(call(loud, 0), wanted.out) / wanted.out.abs().max().item()).toBeLessThan(1e-5);
    });
  });

  test("says what does not fit", () => {
    scope(() => {
      const given = make({ B: 2, N: 1, H: 2, D: 4, P: 3, S: 2 }, "float32");
      expect(() => call(given, 2)).toThrow("decode_attention: position 2 lies outside the cache of 2");
      expect(() => call({ ...given, qkv: randn(2, 9) }, 0)).toThrow("do not belong together");
      expect(() => call({ ...given, of: tensor(BigInt64Array.of(0n, 1n)) }, 0)).toThrow(
        "decode_attention: sequence 1 names prefix 1 of 1",
      );
      expect(() => panelLinear(randn(2, 5), randn(1, 4, 32), null, 3, false)).toThrow(
        "panel_linear expects x [B, I] and panels [ceil(O/32), I, 32]",
      );
      expect(() => panelLinear(randn(2, 4).to("float64"), randn(1, 4, 32), null, 3, false)).toThrow(
        "panel_linear works on the CPU, with x and bias in float32 and panels in float32 or bfloat16, all contiguous",
      );
      expect(() => packPanels(randn(2, 4, 3))).toThrow("pack_panels expects a weight [O, I]");
      expect(() => addNorm_(randn(2, 4), randn(2, 3), randn(4), randn(4), 1e-5)).toThrow("add_norm_ expects x and y");
    });
  });
});
