import fc from "fast-check";
import { expect, test } from "vitest";
import { type ArmName, COMPARISONS } from "../../src/reproduce/arms.ts";
import type { Criterion } from "../../src/reproduce/figures.ts";
import { type ScoredRun, spreadOf, summarize } from "../../src/reproduce/summary.ts";
import { htmlTable, markdownTable } from "../../src/reproduce/tables.ts";

const FIGURES: readonly Criterion[] = [
  { name: "fid", title: "FID", better: "lower", digits: 1 },
  { name: "share", title: "share <x>", better: null, digits: 2 },
];

const runs = (values: Partial<Record<ArmName, readonly number[]>>): ScoredRun[] =>
  Object.entries(values).flatMap(([arm, of]) =>
    of.map((fid, i) => ({ arm: arm as ArmName, seed: i + 1, figures: { fid } })),
  );

test("mean and sample deviation by hand", () => {
  expect(spreadOf([])).toBeNull();
  expect(spreadOf([3])).toEqual({ mean: 3, deviation: null, count: 1 });
  expect(spreadOf([1, 2, 6])).toEqual({ mean: 3, deviation: Math.sqrt((4 + 1 + 9) / 2), count: 3 });
});

test("the deviation does not see a shift and grows with the scale", () => {
  const number = fc.double({ min: -100, max: 100, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(number, { minLength: 2, maxLength: 8 }),
      number,
      fc.double({ min: 0.1, max: 9, noNaN: true }),
      (values, shift, scale) => {
        const plain = spreadOf(values)!;
        const moved = spreadOf(values.map((value) => scale * value + shift))!;
        expect(moved.mean).toBeCloseTo(scale * plain.mean + shift, 6);
        expect(moved.deviation).toBeCloseTo(scale * plain.deviation!, 6);
      },
    ),
  );
});

test("changes are taken seed by seed", () => {
  const summary = summarize(COMPARISONS.main, FIGURES, runs({ baseline: [10, 20], regularizer: [9, 18] }))!;
  expect(summary.arms.map(({ arm }) => arm)).toEqual(["baseline", "regularizer"]);
  const [baseline, regularizer] = summary.arms.map(({ figures }) => figures.fid!);
  expect(baseline!.change).toBeNull();
  // The values differ much between seeds, the change does not.
  expect(regularizer!.deviation).toBeGreaterThan(6);
  expect(regularizer!.change!.mean).toBeCloseTo(-0.1, 12);
  expect(regularizer!.change!.deviation).toBeCloseTo(0, 12);
});

test("a seed that only one arm has does not enter the change", () => {
  const summary = summarize(COMPARISONS.main, FIGURES, runs({ baseline: [10], gumbel: [5, 1000] }))!;
  expect(summary.arms[1]!.figures.fid).toMatchObject({ mean: 502.5, count: 2, change: { mean: -0.5, count: 1 } });
});

test("a comparison needs two arms; a value that is no number is none", () => {
  expect(summarize(COMPARISONS.main, FIGURES, runs({ gumbel: [1], f8: [2] }))).toBeNull();
  const summary = summarize(COMPARISONS.main, FIGURES, runs({ baseline: [Number.NaN], gumbel: [2] }))!;
  expect(summary.arms[0]!.figures).toEqual({});
  expect(summary.arms[1]!.figures.fid!.change).toBeNull();
});

test("tables say mean, spread and change, and leave out what nobody has", () => {
  const summary = summarize(COMPARISONS.main, FIGURES, runs({ baseline: [10, 12], regularizer: [9, 10.8] }))!;
  expect(markdownTable(summary, FIGURES)).toBe(
    [
      "| | independent quantization, teacher forcing (VQ-GAN) | + variational regularizer |",
      "| --- | --- | --- |",
      "| FID ↓ | 11.0 ± 1.4 | 9.9 ± 1.3 (−10.0 % ± 0.0) |",
    ].join("\n"),
  );
  const both = summarize(COMPARISONS.main, FIGURES, [
    ...runs({ baseline: [10] }),
    { arm: "gumbel", seed: 1, figures: { share: 0.5 } },
  ])!;
  const html = htmlTable(both, FIGURES);
  expect(html).toContain("<th>share &#60;x&#62;</th><td>–</td><td>0.50</td>");
  expect(html).toContain("<th>FID ↓</th><td>10.0</td><td>–</td>");
});
