import { manualSeed, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { drawTokens, filterLogits, GumbelStream, sampleSeed } from "../../src/sampling/draw.ts";

const numbers = (x: Tensor): number[] => Array.from(x.contiguous().to("float64").read("float64"));
const logs = (...probabilities: number[]): Tensor => tensor([probabilities.map(Math.log)]);
/** Which codes stay candidates. */
const kept = (logits: Tensor, options: Parameters<typeof filterLogits>[1]): number[] =>
  scope(() => numbers(filterLogits(logits, options)).flatMap((x, k) => (x === -Infinity ? [] : [k])));

describe("candidates by hand", () => {
  const logits = logs(0.1, 0.4, 0.05, 0.3, 0.15);

  test("top-k", () => {
    expect(kept(logits, { topK: 1 })).toEqual([1]);
    expect(kept(logits, { topK: 3 })).toEqual([1, 3, 4]);
    expect(kept(logits, { topK: 99 })).toEqual([0, 1, 2, 3, 4]);
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
    scope(() => {
      const scaled = numbers(filterLogits(tensor([[1, -2, 3]]), { temperature: 2 }));
      expect(scaled).toEqual([0.5, -1, 1.5]);
    });
  });

  test.each([1e-30, 1e-40, 1e-46, 5e-324])(
    "a temperature of %d draws the likeliest code, whatever the noise",
    (temperature) => {
      scope(() => {
        const close = tensor([[80, 79.99, -3, 79.98]]);
        for (const noise of [tensor([[-4, 60, 9, 60]]), tensor([[0, 0, 0, 0]])])
          for (const more of [{}, { topP: 0.9 }, { topK: 3 }])
            expect(numbers(drawTokens(close, noise, { temperature, ...more }))).toEqual([0]);
      });
    },
  );

  test("codes that tie with the last stay in; rows are filtered on their own", () => {
    expect(kept(logs(0.4, 0.2, 0.2, 0.2), { topK: 2 })).toEqual([0, 1, 2, 3]);
    const rows = tensor([
      [3, 2, 1],
      [1, 3, 2],
    ]);
    expect(kept(rows, { topK: 2 })).toEqual([0, 1, 4, 5]);
  });
});

test("the filter keeps the likeliest code, drops no likelier one than it keeps, and leaves the kept unchanged", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -80, max: 80 }), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 25 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (tenths, topK, topP) => {
        const values = tenths.map((x) => Math.fround(x / 10));
        const filtered = scope(() => numbers(filterLogits(tensor([values]), { topK, topP })));
        const [inside, outside] = [filtered.map((x) => x !== -Infinity), filtered.map((x) => x === -Infinity)];
        const pick = (mask: readonly boolean[]): number[] => values.filter((_, i) => mask[i]);
        expect(pick(inside)).toContain(Math.max(...values));
        expect(Math.max(-Infinity, ...pick(outside))).toBeLessThan(Math.min(...pick(inside)));
        expect(filtered.filter((x) => x !== -Infinity)).toEqual(pick(inside));
        const distinct = new Set(pick(inside)).size;
        expect(distinct).toBeLessThanOrEqual(topK);
      },
    ),
    { numRuns: 60, seed: 2 },
  );
});

test("tokens are drawn as the softmax says, and never a dropped one", () => {
  scope(() => {
    const [B, K] = [400, 5];
    const row = [0.3, -1, 1.2, 0, 2];
    const noise = new GumbelStream(
      Array.from({ length: B }, (_, i) => sampleSeed(1, [i], 0)),
      K,
      "cpu",
    );
    const logits = tensor([row]).expand([B, K]).contiguous();
    const counts = new Float64Array(K);
    const rounds = 100;
    for (let i = 0; i < rounds; i++)
      for (const token of drawTokens(logits, noise.next(), { topK: 3 }).read("int64")) counts[Number(token)]! += 1;
    noise[Symbol.dispose]();
    const weights = row.map((x) => (x >= 0.3 ? Math.exp(x) : 0));
    const total = weights.reduce((a, b) => a + b);
    const drawn = B * rounds;
    // Pearson's statistic, with 2 degrees of freedom: above 13.8 in 0.1 % of the cases.
    let statistic = 0;
    for (const [k, weight] of weights.entries()) {
      const expected = (drawn * weight) / total;
      if (weight === 0) expect(counts[k]).toBe(0);
      else statistic += (counts[k]! - expected) ** 2 / expected;
    }
    expect(statistic).toBeLessThan(13.8);
  });
});

describe("noise", () => {
  const stream = (seeds: readonly bigint[], steps: number): number[][] =>
    scope(() => {
      const noise = new GumbelStream(seeds, 7, "cpu");
      const out = Array.from({ length: steps }, () => numbers(noise.next()));
      noise[Symbol.dispose]();
      return out;
    });

  test("a sequence's noise does not depend on its neighbors", () => {
    const together = stream([3n, 1n, 2n], 40);
    const alone = stream([1n], 40);
    for (const [t, row] of alone.entries()) expect(together[t]!.slice(7, 14)).toEqual(row);
  });

  test("no step repeats another, and all of it is finite", () => {
    const steps = stream([9n], 50);
    expect(new Set(steps.map((row) => row.join())).size).toBe(50);
    expect(steps.flat().every(Number.isFinite)).toBe(true);
  });

  test("does not touch the default generator", () => {
    manualSeed(4);
    const expected = ops.aten.rand([1]).item();
    manualSeed(4);
    stream([1n], 3);
    expect(ops.aten.rand([1]).item()).toBe(expected);
  });
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
  expect(sampleSeed(0, BigInt64Array.of(1n, 2n), 0)).toBe(seeds[0]);
  expect(seeds.every((seed) => seed >= 0n && seed < 2n ** 63n)).toBe(true);
});
