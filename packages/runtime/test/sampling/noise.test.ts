import { createHash } from "node:crypto";
import { Generator, ops, scope, tensor } from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Mt19937 } from "../../src/sampling/mt19937.ts";
import { gumbel, NoiseBetween, NoiseStream } from "../../src/sampling/noise.ts";
import { upperQuantile, upperTail } from "../../src/sampling/normal.ts";
import type { TokenSampleOptions } from "../../src/sampling/options.ts";
import { sampleTokens } from "../../src/sampling/sample.ts";
import { hex, sha256 } from "../../src/sampling/sha256.ts";

const CODES = 20_000;
const stream = (seed: number, codes = CODES) => new NoiseStream(seed, codes);

test("SHA-256 is Node's, around every border of its blocks", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(hex(sha256(bytes))).toBe(createHash("sha256").update(bytes).digest("hex"));
    }),
    { seed: 1, numRuns: 300 },
  );
});

test.each([0, 1, 623])(
  "numbers in [0, 1) take two words each, from word %d on, across the borders of the state",
  (skipped) => {
    const [filled, plain] = [new Mt19937(3), new Mt19937(3)];
    for (let i = 0; i < skipped; i++) expect(filled.next()).toBe(plain.next());
    for (const length of [1, 310, 700]) {
      const numbers = new Float64Array(length);
      filled.fill(numbers);
      for (const number of numbers) expect(number).toBe((plain.next() & 0x1fffff) * 2 ** -21 + plain.next() * 2 ** -53);
    }
  },
);

describe("a stream", () => {
  test.each([0, 1, 12345, 2 ** 32 - 1])("of seed %d has the numbers of libtorch's generator, to the bit", (seed) => {
    const generator = new Generator(BigInt(seed));
    const expected = scope(() =>
      ops.aten.empty([3, 1000], { dtype: "float64" }).uniform_(0, 1, { generator }).read("float64"),
    );
    const again = stream(seed, 1000);
    for (let t = 0; t < 3; t++) expect([...again.next()]).toEqual([...expected.subarray(1000 * t, 1000 * (t + 1))]);
  });

  test("gives libtorch's noise, but for the last place of its float32 logarithm", () => {
    const generator = new Generator(7n);
    const expected = scope(() => {
      const uniform = ops.aten.empty([CODES], { dtype: "float64" }).uniform_(0, 1, { generator });
      return uniform.neg().log1p().neg().to("float32").clamp_min(1e-30).log().neg().read("float32");
    });
    const own = Float32Array.from(stream(7).next(), gumbel);
    const apart = own.filter((value, i) => value !== expected[i]);
    expect(apart.length).toBeLessThan(CODES / 50);
    own.forEach((value, i) => {
      expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(1.3e-7 * Math.max(Math.abs(value), 2 ** -10));
    });
  });

  test("no step repeats another, and all of its noise is finite", () => {
    const noise = stream(9, 7);
    const steps = Array.from({ length: 50 }, () => Float32Array.from(noise.next(), gumbel).join());
    expect(new Set(steps).size).toBe(50);
    expect(steps.every((step) => step.split(",").map(Number).every(Number.isFinite))).toBe(true);
    expect(gumbel(0)).toBeCloseTo(30 * Math.LN10, 4);
  });
});

describe("the normal distribution", () => {
  test("quantiles are libtorch's", () => {
    const shares = Float64Array.from({ length: 400 }, (_, i) => (i < 300 ? 10 ** (-i / 10) * 0.99 : (i - 299) / 101));
    const expected = scope(() => ops.aten.special_ndtri(tensor(shares)).neg().read("float64"));
    shares.forEach((share, i) => {
      expect(Math.abs(upperQuantile(share) - expected[i]!)).toBeLessThan(1e-14 * (1 + Math.abs(expected[i]!)));
    });
  });

  test("tails are the inverse of quantiles", () => {
    for (let i = 0; i < 300; i++) {
      const share = 0.99 * 10 ** (-i / 10);
      expect(Math.abs(upperTail(upperQuantile(share)) / share - 1)).toBeLessThan(1e-12);
    }
  });
});

describe("noise between two seeds", () => {
  const between = (share: number) =>
    Float32Array.from(new NoiseBetween(stream(1), stream(2), share, CODES).next(), gumbel);

  test.each([0.1, 0.5, 0.8])("has Gumbel's distribution at share %d", (share) => {
    const values = between(share).sort();
    // The largest distance between the distribution functions (Kolmogorov–Smirnov); 1.95/√n is passed once in 1,000 times.
    let largest = 0;
    values.forEach((value, i) => {
      largest = Math.max(largest, Math.abs(Math.exp(-Math.exp(-value)) - (i + 0.5) / values.length));
    });
    expect(largest).toBeLessThan(1.95 / Math.sqrt(values.length));
  });

  test("begins and ends at the streams themselves, and comes near them on the way", () => {
    const [from, to] = [1, 2].map((seed) => Float32Array.from(stream(seed).next(), gumbel));
    expect(between(0)).toEqual(from);
    expect(between(1)).toEqual(to);
    const near = between(1e-6);
    for (let i = 0; i < 200; i++) expect(near[i]).toBeCloseTo(from![i]!, 3);
  });

  test("is a number where a stream has none to take the quantile of", () => {
    const noise = (probability: number) => ({ next: () => Float64Array.of(probability) });
    for (const [from, to] of [
      [0, 0.5],
      [0.5, 0],
      [0, 0],
    ] as const) {
      const [between] = new NoiseBetween(noise(from), noise(to), 0.5, 1).next();
      expect(between).toBeGreaterThan(0);
      expect(between).toBeLessThan(1e-6);
    }
  });

  /** Tokens of two conditions where all codes are equally likely. */
  const tokensOf = (options: TokenSampleOptions) => {
    const counts = { conditionCodes: 4, imageCodes: 64, conditionTokens: 2, imageTokens: 6, absent: undefined };
    const drawing = sampleTokens(counts, [Int32Array.of(1, 2), Int32Array.of(3, 0)], options);
    let step = drawing.next();
    while (!step.done) step = drawing.next(new Float32Array(step.value.sequences.of.length * 64));
    return step.value.map((tokens) => tokens.join());
  };

  test("leads each sample to that of the other seed, whatever is drawn beside it", () => {
    const noise = { kind: "between", to: 9 } as const;
    const all = tokensOf({ noise: { ...noise, share: 0.6 }, samples: 4, seed: 5 });
    const some = tokensOf({ noise: { ...noise, share: 0.6 }, samples: 2, firstSample: 2, seed: 5 });
    expect(some).toEqual([...all.slice(2, 4), ...all.slice(6)]);
    const shared = (seed: number) => tokensOf({ noise: { kind: "shared" }, samples: 4, seed });
    for (const [share, seed] of [
      [0, 5],
      [1, 9],
    ] as const)
      expect(tokensOf({ noise: { ...noise, share }, samples: 4, seed: 5 })).toEqual(shared(seed));
  });

  test("moves by the angle: the correlation of normal quantiles with the first stream is cos(share·π/2)", () => {
    const first = Float64Array.from(stream(1).next(), upperQuantile);
    for (const share of [0.25, 0.5]) {
      const other = Float64Array.from(new NoiseBetween(stream(1), stream(2), share, CODES).next(), upperQuantile);
      const correlation = first.reduce((sum, value, i) => sum + value * other[i]!, 0) / first.length;
      expect(Math.abs(correlation - Math.cos((share * Math.PI) / 2))).toBeLessThan(0.03);
    }
  });
});
