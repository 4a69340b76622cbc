import { getThreads, manualSeed, ops, scope, setThreads, type Tensor, tensor } from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DecodeCaches, decodeToken, packPanels } from "../../src/support/kernels.ts";

const randn = (...shape: number[]): Tensor => ops.aten.randn(shape);
const PRECISIONS = ["float32", "bfloat16"] as const;
type Precision = (typeof PRECISIONS)[number];

/** The largest difference, as a share of the largest value. */
function apart(a: Tensor, b: Tensor): number {
  const wanted = b.to("float64");
  const difference = a.to("float64").sub(wanted).abs().max().item();
  return difference / Math.max(1, wanted.abs().max().item());
}

interface Sizes {
  B: number;
  N: number;
  H: number;
  D: number;
  hidden: number;
  P: number;
  S: number;
  codes: number;
}

/** A network of one layer; weights `[outputs, inputs]` by name, before they are packed. */
function make({ B, N, H, D, hidden, P, S, codes }: Sizes, precision: Precision) {
  const C = H * D;
  const matrix = (O: number, I: number) => randn(O, I).div(Math.sqrt(I)).to(precision);
  return {
    x: randn(B, C),
    norms: [randn(C), randn(C), randn(C), randn(C), randn(C), randn(C)] as const,
    matrices: [matrix(3 * C, C), matrix(C, C), matrix(hidden, C), matrix(C, hidden), matrix(codes, C)] as const,
    biases: [randn(3 * C), randn(C), randn(hidden), randn(C)] as const,
    caches: {
      prefixKeys: [randn(N, H, D, P).to(precision)],
      prefixValues: [randn(N, H, P, D).to(precision)],
      keys: [randn(B, H, D, S).to(precision)],
      values: [randn(B, H, S, D).to(precision)],
    },
    of: tensor(BigInt64Array.from({ length: B }, (_, b) => BigInt((b * 2) % N))),
  };
}
type Case = ReturnType<typeof make>;

function call({ x, norms: n, matrices, biases: b, caches, of }: Case, position: number): Tensor {
  const p = matrices.map((matrix) => packPanels(matrix)) as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const layer = [n[0], n[1], p[0], b[0], p[1], b[1], n[2], n[3], p[2], b[2], p[3], b[3]];
  return decodeToken(x, [...layer, n[4], n[5], p[4]], caches, of, position, {
    codes: matrices[4].shape[0]!,
    eps: 1e-5,
  });
}

/** The same from plain operators in float64, without the cache: the network's own past is read, not written. */
function expected({ x, norms, matrices, biases, caches, of }: Case, position: number): Tensor {
  const [B, C] = x.shape as [number, number];
  const [, H, D] = caches.keys[0]!.shape as [number, number, number];
  const precision = caches.keys[0]!.dtype;
  const wide = (each: Tensor): Tensor => each.to("float64");
  const normal = (of: Tensor, i: number): Tensor =>
    ops.aten.layer_norm(of, [C], wide(norms[i]!), wide(norms[i + 1]!), 1e-5);
  const linear = (of: Tensor, i: number): Tensor =>
    ops.aten.linear(of, wide(matrices[i]!), biases[i] === undefined ? null : wide(biases[i]!));
  const [q, k, v] = linear(normal(wide(x), 0), 0)
    .view([B, 3, H, D])
    .unbind(1) as [Tensor, Tensor, Tensor];
  const past = (prefix: Tensor, own: Tensor, now: Tensor, time: number): Tensor =>
    ops.aten.cat(
      [wide(prefix.index_select(0, of)), wide(own.slice(time, 0, position)), wide(now.to(precision)).unsqueeze(time)],
      time,
    );
  const scores = q
    .unsqueeze(2)
    .div(Math.sqrt(D))
    .matmul(past(caches.prefixKeys[0]!, caches.keys[0]!, k, 3));
  const mixed = scores.softmax(-1).matmul(past(caches.prefixValues[0]!, caches.values[0]!, v, 2));
  const attended = wide(x).add(linear(mixed.reshape([B, C]), 1));
  const out = attended.add(linear(ops.aten.gelu(linear(normal(attended, 2), 2)), 3));
  return linear(normal(out, 4), 4);
}

const SIZES: Sizes = { B: 7, N: 3, H: 2, D: 12, hidden: 50, P: 9, S: 6, codes: 45 };
const bits = (x: Tensor): readonly number[] => [...x.contiguous().read("float32")];

/** The sequence `b` of a case alone. */
function alone(given: Case, b: number): Case {
  const own = (list: readonly Tensor[]): Tensor[] => list.map((each) => each.slice(0, b, b + 1).clone());
  const { keys, values } = given.caches;
  const caches: DecodeCaches = { ...given.caches, keys: own(keys), values: own(values) };
  return {
    ...given,
    x: given.x.slice(0, b, b + 1).clone(),
    of: given.of.slice(0, b, b + 1).clone(),
    caches: caches as Case["caches"],
  };
}

describe.each(PRECISIONS)("a token, weights and caches in %s", (precision) => {
  test("is what plain operators make of it, for any sizes", () => {
    manualSeed(1);
    const size = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
    fc.assert(
      fc.property(
        fc.record({
          ...{ B: size(19), N: size(3), H: size(3), D: size(20) },
          ...{ hidden: size(70), P: size(40), S: size(40), codes: size(100) },
        }),
        fc.nat(39),
        (sizes, place) => {
          scope(() => {
            const given = make(sizes, precision);
            const position = place % sizes.S;
            const wanted = expected(given, position);
            const came = call(given, position);
            expect(came.shape).toEqual([sizes.B, sizes.codes]);
            // A key that was rounded to bfloat16 may fall to the other side in float64.
            expect(apart(came, wanted)).toBeLessThan(precision === "float32" ? 2e-5 : 1e-2);
          });
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });

  test("has the same bits in any batch and on any number of threads", () => {
    manualSeed(2);
    const threads = getThreads();
    try {
      scope(() => {
        const given = make(SIZES, precision);
        setThreads(1);
        const rows = Array.from({ length: 7 }, (_, b) => alone(given, b));
        const wanted = rows.flatMap((row) => [bits(call(row, 3)), bits(row.caches.keys[0]!.to("float32"))]);
        for (const count of [1, 2, 3]) {
          setThreads(count);
          const { keys, values } = given.caches;
          const own = { ...given.caches, keys: [keys[0]!.clone()], values: [values[0]!.clone()] };
          const logits = call({ ...given, caches: own }, 3);
          for (let b = 0; b < 7; b++) {
            expect(bits(logits.slice(0, b, b + 1))).toEqual(wanted[2 * b]);
            expect(bits(own.keys[0]!.slice(0, b, b + 1).to("float32"))).toEqual(wanted[2 * b + 1]);
          }
        }
      });
    } finally {
      setThreads(threads);
    }
  });
});

test("only the place of the token is written", () => {
  manualSeed(3);
  scope(() => {
    const given = make(SIZES, "float32");
    const { keys, values } = given.caches;
    const before = [keys[0]!.clone(), values[0]!.clone()] as const;
    call(given, 4);
    for (let t = 0; t < SIZES.S; t++) {
      expect(keys[0]!.select(3, t).equal(before[0].select(3, t)), `keys at ${t}`).toBe(t !== 4);
      expect(values[0]!.select(2, t).equal(before[1].select(2, t)), `values at ${t}`).toBe(t !== 4);
    }
  });
});

test("GELU holds far out", () => {
  scope(() => {
    // The normalization passes ±1 on; the expansion makes it ±30 … 30.
    const steps = 601;
    const given = make({ ...SIZES, B: 1, N: 1, H: 1, D: 2, hidden: steps, codes: 2 }, "float32");
    const expansion = ops.aten
      .linspace(-30, 30, steps)
      .unsqueeze(1)
      .mul(tensor([[1, 0]]));
    const matrices = given.matrices.with(2, expansion) as unknown as Case["matrices"];
    expect(apart(call({ ...given, matrices }, 0), expected({ ...given, matrices }, 0))).toBeLessThan(2e-5);
  });
});

test("large scores do not overflow", () => {
  scope(() => {
    const given = make(SIZES, "float32");
    const matrices = given.matrices.with(0, given.matrices[0].mul(1e4)) as unknown as Case["matrices"];
    const wanted = expected({ ...given, matrices }, 0);
    const came = call({ ...given, matrices }, 0);
    expect(came.isfinite().all().item()).toBe(1);
    expect(apart(came, wanted)).toBeLessThan(1e-3);
  });
});

test("says what does not fit", () => {
  scope(() => {
    const given = make(SIZES, "float32");
    const wrong =
      (change: Partial<Case>): (() => Tensor) =>
      () =>
        call({ ...given, ...change }, 0);
    expect(() => call(given, 6)).toThrow("decode_token: position 6 lies outside the cache of 6");
    expect(wrong({ x: randn(7, 23) })).toThrow("x [7, 23], caches of 2 heads of 12 features");
    expect(wrong({ of: tensor(BigInt64Array.from([0n, 1n, 2n, 3n, 0n, 0n, 0n])) })).toThrow(
      "sequence 3 names prefix 3 of 3",
    );
    expect(wrong({ matrices: given.matrices.with(3, randn(24, 51)) as unknown as Case["matrices"] })).toThrow(
      "panels [ceil(24/32), 50, 32] for the contraction, but got [1, 51, 32]",
    );
    expect(wrong({ caches: { ...given.caches, values: [given.caches.values[0]!.slice(0, 1)] } })).toThrow(
      "own_v [6, 2, 6, 12]",
    );
    expect(wrong({ caches: { ...given.caches, keys: [] } })).toThrow(
      "decode_token expects for each layer 12 weights and 4 caches",
    );
    expect(() => packPanels(randn(2, 4, 3))).toThrow("pack_panels expects a weight [O, I]");
  });
});
