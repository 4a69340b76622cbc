import { expect, test } from "vitest";
import { COMPARISONS } from "../../src/reproduce/arms.ts";
import { speedColumns, stepsTo, withSpeed } from "../../src/reproduce/speed.ts";
import type { ScoredRun } from "../../src/reproduce/summary.ts";

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
