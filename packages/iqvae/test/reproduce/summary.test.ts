import fc from "fast-check";
import { expect, test } from "vitest";
import { type ArmName, COMPARISONS } from "../../src/reproduce/arms.ts";
import type { Criterion } from "../../src/reproduce/figures.ts";
import { intervalOf } from "../../src/reproduce/interval.ts";
import { columnsOf } from "../../src/reproduce/score.ts";
import { type ScoredRun, spreadOf, summarize } from "../../src/reproduce/summary.ts";
import { htmlTable, markdownTable, tripleTables } from "../../src/reproduce/tables.ts";

const STEP = 400;
const FIGURES: readonly Criterion[] = [
  { name: "fid", title: "FID", better: "lower", digits: 1 },
  { name: "share", title: "share <x>", better: null, digits: 2 },
];

const runs = (values: Partial<Record<ArmName, readonly number[]>>): ScoredRun[] =>
  Object.entries(values).flatMap(([arm, of]) =>
    of.map((fid, i) => ({ arm: arm as ArmName, seed: i + 1, step: STEP, figures: { fid } })),
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
  const summary = summarize(COMPARISONS.main, FIGURES, runs({ none: [10, 20], paired: [9, 18] }), STEP)!;
  expect(summary.arms.map(({ arm }) => arm)).toEqual(["none", "paired"]);
  const [none, paired] = summary.arms.map(({ figures }) => figures.fid!);
  expect(none!.change).toBeNull();
  // The values differ much between seeds, the change does not.
  expect(paired!.deviation).toBeGreaterThan(6);
  expect(paired!.change!.mean).toBeCloseTo(-0.1, 12);
  expect(paired!.change!.deviation).toBeCloseTo(0, 12);
});

test.each([
  { none: [1, 9, 4], isExcess: true, change: "none", why: "an excess, whose spread reaches 0" },
  { none: [1, 9, 4], isExcess: false, change: "some", why: "a scale, whatever its spread" },
  { none: [4, 5, 6], isExcess: true, change: "some", why: "an excess well above 0" },
  { none: [4, 5, 0], isExcess: false, change: "none", why: "0 for one seed" },
])("of a reference that is $why, changes: $change", ({ none, isExcess, change }) => {
  const figures = [{ ...FIGURES[0]!, isExcess }];
  const entry = summarize(COMPARISONS.main, figures, runs({ none, paired: [3, 3, 3] }), STEP)!.arms[1]!.figures.fid!;
  expect(entry.mean).toBe(3);
  expect(entry.change === null ? "none" : "some").toBe(change);
});

/** The probability that Student's t lies within ± `bound`, by Simpson's rule over its density. */
function within(bound: number, degrees: number): number {
  const density = (t: number) => (1 + t ** 2 / degrees) ** (-(degrees + 1) / 2);
  const integral = (from: number, to: number, parts = 20_000) => {
    const width = (to - from) / parts;
    const inner = Array.from({ length: parts - 1 }, (_, i) => (i % 2 === 0 ? 4 : 2) * density(from + (i + 1) * width));
    return (width / 3) * inner.reduce((a, b) => a + b, density(from) + density(to));
  };
  // The tails by 1/t: ∫ from 1 to ∞ of f(t) is ∫ from 0 to 1 of f(1/u)/u².
  const tail = (to: number, parts = 20_000) =>
    Array.from({ length: parts }, (_, i) => ((i + 0.5) / parts) * to).reduce(
      (sum, u) => sum + (density(1 / u) / u ** 2) * (to / parts),
      0,
    );
  return integral(0, bound) / (integral(0, 1) + tail(1));
}

test.each([2, 3, 4, 5, 6, 10, 15, 20, 21, 22, 31, 101])(
  "an interval of %i seeds holds 95 % of Student's t",
  (count) => {
    const [low, high] = intervalOf({ mean: 7, deviation: 2, count })!;
    expect((low + high) / 2).toBeCloseTo(7, 12);
    expect(within(((high - low) / 2 / 2) * Math.sqrt(count), count - 1)).toBeCloseTo(0.95, 5);
    expect(intervalOf({ mean: 7, deviation: null, count: 1 })).toBeNull();
  },
);

test("the interval of a change is that of the differences of equal seeds, not of the arms", () => {
  // Changes of −10, −20 and −30 %: mean −20, deviation 10, and 4.303 · 10/√3 to either side.
  const values = runs({ none: [10, 20, 40], paired: [9, 16, 28] });
  const { change } = summarize(COMPARISONS.main, FIGURES, values, STEP)!.arms[1]!.figures.fid!;
  expect(change!.mean).toBeCloseTo(-0.2, 12);
  expect(change!.interval![0]).toBeCloseTo(-0.2 - 0.248_414, 5);
  expect(change!.interval![1]).toBeCloseTo(-0.2 + 0.248_414, 5);
  expect(markdownTable(summarize(COMPARISONS.main, FIGURES, values, STEP)!, FIGURES)).toContain(
    "(−20.0 % [−44.8, +4.8])",
  );
});

test("runs are compared at one step, and nothing is said relative to what is not above 0", () => {
  const earlier = runs({ none: [1], paired: [2] }).map((run) => ({ ...run, step: 200 }));
  const all = [...earlier, ...runs({ none: [-1], paired: [3] })];
  const at = (step: number) => summarize(COMPARISONS.main, FIGURES, all, step)!.arms[1]!.figures.fid!;
  expect(at(200)).toMatchObject({ mean: 2, change: { mean: 1, interval: null } });
  expect(at(STEP)).toMatchObject({ mean: 3, change: null });
  expect(summarize(COMPARISONS.main, FIGURES, all, 800)).toBeNull();
});

test("what each stage costs stands together, judge by judge, with its floors", () => {
  const figures = columnsOf([
    { key: "triple.reconstruction.colors", label: "", value: 8, real: 5.25, better: "lower" },
    { key: "triple.gap.colors", label: "", value: 8, real: 3, better: "lower" },
    { key: "triple.total.colors", label: "", value: 8, real: 5.25, better: "lower" },
    { key: "triple.stage1Share.colors", label: "", value: 8, real: null, better: null },
    { key: "swd", label: "", value: 8, real: 5, better: "lower" },
  ]);
  const run = (arm: ArmName, gap: number, excess: number): ScoredRun => ({
    ...{ arm, seed: 1, step: STEP },
    figures: {
      "triple.reconstruction.colors": 8.25,
      "triple.gap.colors": gap,
      "triple.gap.colors.floor": 3.25,
      "triple.total.colors": 5.25 + excess,
      "triple.excess.colors": excess,
      "triple.stage1Share.colors": 3 / excess,
    },
  });
  const summary = summarize(COMPARISONS.main, figures, [run("none", 10, 16), run("within", 5, 12)], STEP)!;
  expect(tripleTables(summary, figures).split("\n")).toEqual([
    "| Fréchet distance by colors, floor of reconstruction and total 5.25 | reconstruction | gap ↓ | floor of the gap | total | total above its floor ↓ | stage 1's share |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    "| independent quantization (VQ-GAN) | 8.250 | 10.000 | 3.250 | 21.250 | 16.000 | 0.19 |",
    "| moves the image alone, pairs within an image | 8.250 | 5.000 (−50.0 %) | 3.250 | 17.250 | 12.000 (−25.0 %) | 0.25 |",
  ]);
  expect(tripleTables(summary, FIGURES)).toBe("");
});

test("a figure that is neither good nor bad has no change in the table", () => {
  const share = runs({ none: [1], paired: [2] }).map((run) => ({ ...run, figures: { share: run.figures.fid! } }));
  expect(markdownTable(summarize(COMPARISONS.main, FIGURES, share, STEP)!, FIGURES)).toContain(
    "| share <x> | 1.00 | 2.00 |",
  );
});

test("a seed that only one arm has does not enter the change", () => {
  const summary = summarize(COMPARISONS.main, FIGURES, runs({ none: [10], image: [5, 1000] }), STEP)!;
  expect(summary.arms[1]!.figures.fid).toMatchObject({ mean: 502.5, count: 2, change: { mean: -0.5, count: 1 } });
});

test("a table says how many seeds a figure is of, where some lack it", () => {
  const values = runs({ none: [10, 20, 40], paired: [9, 16, Number.NaN] });
  expect(markdownTable(summarize(COMPARISONS.main, FIGURES, values, STEP)!, FIGURES)).toMatch(
    /\| 12\.5 ± 4\.9 \(−15\.0 % \[.*\]; 2 of 3 seeds\) \|$/,
  );
});

test("a comparison needs two arms; a value that is no number is none", () => {
  expect(summarize(COMPARISONS.main, FIGURES, runs({ image: [1], sliced: [2] }), STEP)).toBeNull();
  const summary = summarize(COMPARISONS.main, FIGURES, runs({ none: [Number.NaN], image: [2] }), STEP)!;
  expect(summary.arms[0]!.figures).toEqual({});
  expect(summary.arms[1]!.figures.fid!.change).toBeNull();
});

test("tables say mean, spread and change, and leave out what nobody has", () => {
  const summary = summarize(COMPARISONS.main, FIGURES, runs({ none: [10, 12], paired: [9, 10.8] }), STEP)!;
  expect(markdownTable(summary, FIGURES)).toBe(
    [
      "| | independent quantization (VQ-GAN) | regularizer as described: moves both encoders |",
      "| --- | --- | --- |",
      "| seeds | 1, 2 | 1, 2 |",
      "| FID ↓ | 11.0 ± 1.4 | 9.9 ± 1.3 (−10.0 % [−10.0, −10.0]) |",
    ].join("\n"),
  );
  const both = summarize(
    COMPARISONS.main,
    FIGURES,
    [...runs({ none: [10] }), { arm: "image", seed: 1, step: STEP, figures: { share: 0.5 } }],
    STEP,
  )!;
  const html = htmlTable(both, FIGURES);
  expect(html).toContain("<th>share &#60;x&#62;</th><td>–</td><td>0.50</td>");
  expect(html).toContain("<th>FID ↓</th><td>10.0</td><td>–</td>");
});
