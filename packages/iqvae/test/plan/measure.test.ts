import { expect, test } from "vitest";
import { timeSteps } from "../../src/plan/measure.ts";
import type { Trainer } from "../../src/support/trainer.ts";

/** A trainer whose steps take `seconds(rows, step)`, and the rows of its steps. */
function trainer(seconds: (rows: number, step: number) => number) {
  const rows: number[] = [];
  const step = ({ length }: Uint32Array) => {
    rows.push(length);
    const time = seconds(length, rows.length);
    for (const begin = performance.now(); performance.now() - begin < 1000 * time; );
    return { loss: 0 };
  };
  return { trial: { trainer: { step } as Partial<Trainer> as Trainer }, rows };
}

test("the quickest of many steps counts, however slow the first ones and those between are", () => {
  const { trial, rows } = trainer((rows, step) => (step < 3 || step % 3 === 2 ? 0.1 : 0.004 + 0.002 * rows));
  const { fixed, each } = timeSteps(trial, 32);
  // Other work may take the processor away from every step, but hardly for long.
  expect(each).toBeGreaterThan(0.0018);
  expect(each).toBeLessThan(0.006);
  expect(fixed).toBeLessThan(0.02);
  expect(rows.slice(0, 3)).toEqual([1, 1, 1]);
  expect(Math.max(...rows)).toBeLessThanOrEqual(16);
  expect(rows.length).toBeGreaterThan(10);
});

test("slow steps are of one row and of two, and few", () => {
  const { trial, rows } = trainer((rows) => 0.3 + 0.2 * rows);
  const { fixed, each } = timeSteps(trial, 8);
  expect(fixed).toBeCloseTo(0.3, 1);
  expect(each).toBeCloseTo(0.2, 1);
  expect(Math.max(...rows)).toBe(2);
  expect(rows.length).toBeLessThanOrEqual(7);
});

test("of a step of one row, all is counted by the row", () => {
  const { trial, rows } = trainer(() => 0.3);
  expect(timeSteps(trial, 1)).toEqual({ fixed: 0, each: expect.closeTo(0.3, 1) });
  expect(new Set(rows)).toEqual(new Set([1]));
});
