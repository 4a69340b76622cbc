import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chooseToken, type DrawOptions, filterLogits } from "../../src/sampling/choose.ts";
import { gumbel, NoiseStream } from "../../src/sampling/noise.ts";
import { sampleSeed } from "../../src/sampling/seeds.ts";

const logs = (...probabilities: number[]) => Float32Array.from(probabilities, Math.log);
/** Which codes stay candidates. */
const kept = (logits: Float32Array, options: DrawOptions): number[] => {
  const scaled = Float32Array.from(logits);
  const floor = filterLogits(scaled, options);
  return [...scaled.keys()].filter((k) => scaled[k]! >= floor);
};

describe("candidates by hand", () => {
  const logits = logs(0.1, 0.4, 0.05, 0.3, 0.15);

  test("top-k", () => {
    expect(kept(logits, { topK: 1 })).toEqual([1]);
    expect(kept(logits, { topK: 3 })).toEqual([1, 3, 4]);
    expect(kept(logits, { topK: 99 })).toEqual([0, 1, 2, 3, 4]);
  });

  test("top-k of any logits, equal ones among them, keeps what sorting puts first", () => {
    const few = fc.array(fc.constantFrom(-2, 0, 0.5, 3), { minLength: 2, maxLength: 40 });
    const many = fc.array(fc.float({ noNaN: true }), { minLength: 2, maxLength: 80 });
    fc.assert(
      fc.property(fc.oneof(few, many), fc.nat(), (values, place) => {
        const topK = 1 + (place % (values.length - 1));
        const sorted = Float32Array.from(values).sort().reverse();
        const given = Float32Array.from(values);
        expect(filterLogits(given, { topK })).toBe(sorted[topK - 1]);
        expect(given).toEqual(Float32Array.from(values));
      }),
      { seed: 1 },
    );
  });

  test("top-p: the code that reaches it is in", () => {
    expect(kept(logits, { topP: 0.39 })).toEqual([1]);
    expect(kept(logits, { topP: 0.41 })).toEqual([1, 3]);
    expect(kept(logits, { topP: 0.71 })).toEqual([1, 3, 4]);
    expect(kept(logits, { topP: 0.96 })).toEqual([0, 1, 2, 3, 4]);
    expect(kept(logits, { topP: 1e-9 })).toEqual([1]);
  });

  test("top-p counts what top-k left: 0.4 and 0.3 become 4/7 and 3/7", () => {
    expect(kept(logits, { topK: 2, topP: 0.57 })).toEqual([1]);
    expect(kept(logits, { topK: 2, topP: 0.58 })).toEqual([1, 3]);
  });

  test("temperature comes first: at 1/2 probabilities are squared", () => {
    // 0.16, 0.09, 0.0225, 0.01, 0.0025 of 0.285: the two likeliest reach 0.877
    expect(kept(logits, { temperature: 0.5, topP: 0.87 })).toEqual([1, 3]);
    expect(kept(logits, { temperature: 0.5, topP: 0.88 })).toEqual([1, 3, 4]);
    const scaled = Float32Array.of(1, -2, 3);
    filterLogits(scaled, { temperature: 2 });
    expect([...scaled]).toEqual([0.5, -1, 1.5]);
  });

  test.each([1e-30, 1e-40, 1e-46, 5e-324])(
    "a temperature of %d draws the likeliest code, whatever the noise",
    (temperature) => {
      for (const noise of [Float64Array.of(1e-30, 0.9, 1e-5, 1e-30), Float64Array.of(0.5, 0.5, 0.5, 0.5)])
        for (const more of [{}, { topP: 0.9 }, { topK: 3 }])
          expect(chooseToken(Float32Array.of(79.99, 80, -3, 79.98), noise, { temperature, ...more })).toBe(1);
    },
  );

  test("codes that tie with the last stay in", () => {
    expect(kept(logs(0.4, 0.2, 0.2, 0.2), { topK: 2 })).toEqual([0, 1, 2, 3]);
  });
});

const tenths = fc.array(fc.integer({ min: -80, max: 80 }), { minLength: 1, maxLength: 20 });

test("the filter keeps the likeliest code, and drops no likelier one than it keeps", () => {
  fc.assert(
    fc.property(
      tenths,
      fc.integer({ min: 1, max: 25 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (values, topK, topP) => {
        const logits = Float32Array.from(values, (x) => x / 10);
        const inside = kept(logits, { topK, topP }).map((k) => logits[k]!);
        const outside = [...logits.keys()].filter((k) => !kept(logits, { topK, topP }).includes(k));
        expect(inside).toContain(Math.max(...logits));
        expect(Math.max(-Infinity, ...outside.map((k) => logits[k]!))).toBeLessThan(Math.min(...inside));
        expect(new Set(inside).size).toBeLessThanOrEqual(topK);
      },
    ),
    { numRuns: 200, seed: 2 },
  );
});

test("the code of the largest sum of logit and noise is chosen, though most noise is never computed", () => {
  fc.assert(
    fc.property(tenths, fc.constantFrom(1e-3, 0.3, 1, 40), fc.integer(), (values, temperature, seed) => {
      const logits = Float32Array.from(values, (x) => x / 10);
      const noise = new NoiseStream(seed, logits.length).next();
      const sums = logits.map((x, k) => Math.fround(Math.fround(x / Math.fround(temperature)) + gumbel(noise[k]!)));
      expect(chooseToken(Float32Array.from(logits), noise, { temperature })).toBe(sums.indexOf(Math.max(...sums)));
    }),
    { numRuns: 2000, seed: 3 },
  );
});

test("of codes that tie the first is chosen", () => {
  const even = new Float64Array(4).fill(0.25);
  expect(chooseToken(Float32Array.of(1, 2, 2, 2), even, {})).toBe(1);
});

test("tokens are drawn as the softmax says, and never a dropped one", () => {
  const row = [0.3, -1, 1.2, 0, 2];
  const counts = new Float64Array(row.length);
  const drawn = 40_000;
  for (let i = 0; i < 400; i++) {
    const noise = new NoiseStream(sampleSeed(1, [i], 0), row.length);
    for (let t = 0; t < drawn / 400; t++) counts[chooseToken(Float32Array.from(row), noise.next(), { topK: 3 })]! += 1;
  }
  const weights = row.map((x) => (x >= 0.3 ? Math.exp(x) : 0));
  const total = weights.reduce((a, b) => a + b);
  // Pearson's statistic, with 2 degrees of freedom: above 13.8 in 0.1 % of the cases.
  let statistic = 0;
  for (const [k, weight] of weights.entries()) {
    const expected = (drawn * weight) / total;
    if (weight === 0) expect(counts[k]).toBe(0);
    else statistic += (counts[k]! - expected) ** 2 / expected;
  }
  expect(statistic).toBeLessThan(13.8);
});

test("seeds differ by user's seed, condition and number, and stay what they are", () => {
  const seeds = [
    sampleSeed(0, [1, 2], 0),
    sampleSeed(1, [1, 2], 0),
    sampleSeed(0, [1, 3], 0),
    sampleSeed(0, [12], 0),
    sampleSeed(0, [1, 2], 1),
  ];
  expect(new Set(seeds).size).toBe(5);
  // The first four bytes of the SHA-256 of "0 0 1 2", the lowest first.
  expect(sampleSeed(0, Int32Array.of(1, 2), 0)).toBe(seeds[0]);
  expect(seeds[0]).toBe(
    Number.parseInt(
      createHash("sha256").update("0 0 1 2").digest("hex").match(/../g)!.slice(0, 4).reverse().join(""),
      16,
    ),
  );
});
