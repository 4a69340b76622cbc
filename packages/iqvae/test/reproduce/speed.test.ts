import { expect, test } from "vitest";
import { COMPARISONS } from "../../src/reproduce/arms.ts";
import type { Criterion } from "../../src/reproduce/figures.ts";
import { speedColumns, stepsTo, withSpeed } from "../../src/reproduce/speed.ts";
import { type ScoredRun, summarize } from "../../src/reproduce/summary.ts";
import { htmlTable, markdownTable } from "../../src/reproduce/tables.ts";

test("a curve of a power of the steps is met where it is, whatever was scored", () => {
  const power = (step: number) => 500 * step ** -0.7;
  const curve = [100, 220, 800].map((step) => [step, power(step)] as const);
  for (const step of [100, 150, 220, 500, 800]) expect(stepsTo(power(step), curve)).toBeCloseTo(step, 8);
  expect(stepsTo(power(60), curve)).toBe(100);
  expect(stepsTo(power(801), curve)).toBeNull();
});

test("a curve that comes to 0 or below has come there at that step; one that rises again counts once it has been there", () => {
  expect(
    stepsTo(1, [
      [200, 4],
      [400, 2],
      [800, -1],
    ]),
  ).toBe(800);
  expect(
    stepsTo(2, [
      [200, 4],
      [400, 1],
      [800, 3],
    ]),
  ).toBeCloseTo(200 * Math.SQRT2, 8);
});

const curve = (arm: ScoredRun["arm"], seed: number, values: readonly number[]): ScoredRun[] =>
  values.map((value, i) => ({ arm, seed, step: 200 * 2 ** i, figures: { "triple.excess.colors": value, swd: 1 } }));

test("each run is held against the first arm with its seed, at the last step alone", () => {
  const runs = [
    ...curve("none", 1, [16, 8, 4]),
    ...curve("within", 1, [8, 4, 2]),
    ...curve("none", 2, [9, 3, 1]),
    ...curve("within", 2, [9, 8, 7]),
    ...curve("within", 3, [9, 8, 7]),
  ];
  const steps = withSpeed(COMPARISONS.main, runs).map(({ figures }) => figures["steps.colors"]);
  expect(steps.map((count) => count && Math.round(count))).toEqual([
    ...[undefined, undefined, 800],
    ...[undefined, undefined, 400],
    ...[undefined, undefined, 800],
    ...Array(6).fill(undefined),
  ]);
  expect(
    withSpeed(
      COMPARISONS.main,
      runs.filter(({ step }) => step === 800),
    ),
  ).toEqual(runs.filter(({ step }) => step === 800));
});

test("there is a column for each judge that an excess is known by", () => {
  const column = { title: "", better: "lower", digits: 3 } as const;
  const names = ["triple.excess.colors", "triple.total.colors", "triple.excess.gradients", "swd"];
  expect(speedColumns(names.map((name) => ({ ...column, name }))).map(({ name }) => name)).toEqual([
    "steps.colors",
    "steps.gradients",
  ]);
});

test("where a run never comes there, those that do are counted, and nothing is said of a change", () => {
  const excess: Criterion = { name: "triple.excess.colors", title: "excess", better: "lower", digits: 1 };
  const columns = [excess, ...speedColumns([excess])];
  const tableOf = (last: readonly number[], write = markdownTable) => {
    const runs = [1, 2, 3, 4].flatMap((seed) => curve("none", seed, [16, 8, 4]));
    const others = [...[3.8, 3.9, 3.7].map((end) => [16, 8, end]), last];
    const all = [...runs, ...others.flatMap((values, i) => curve("within", i + 1, values))];
    return write(summarize(COMPARISONS.main, columns, withSpeed(COMPARISONS.main, all), 800)!, columns);
  };
  const row = (table: string) => table.split("\n").find((line) => line.startsWith("| steps of stage 2"))!;
  expect(row(tableOf([16, 8, 4]))).toMatch(/\| 800 ± 0 \| 7\d\d ± \d+ \(−\d\.\d % \[.*\]\) \|$/);
  expect(row(tableOf([112, 56, 28]))).toMatch(/\| 800 ± 0 \| 7\d\d ± \d+ \(3 of 4 seeds\) \|$/);
  expect(tableOf([112, 56, 28], htmlTable)).toMatch(/<td>7\d\d ± \d+<br>\(3 of 4 seeds\)<\/td>/);
});
