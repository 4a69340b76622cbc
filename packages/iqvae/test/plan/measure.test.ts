import { expect, test } from "vitest";
import { timed } from "../../src/plan/measure.ts";

/** Trials whose passes take `seconds(pass, items)`, and how they were used. */
function trials(seconds: (pass: number, items: number) => number) {
  const made: { items: number; passes: number; disposed: number }[] = [];
  const spend = (time: number) => {
    for (const begin = performance.now(); performance.now() - begin < 1000 * time; );
  };
  const make = (items: number) => {
    const state = { items, passes: 0, disposed: 0 };
    made.push(state);
    return {
      pass: () => spend(seconds(state.passes++, items)),
      update: () => spend(0.002),
      dispose: () => void state.disposed++,
    };
  };
  return { make, made };
}

test("the quickest of many passes counts, however slow the first ones and those between are", () => {
  const { make, made } = trials((pass, items) => (pass === 0 || pass % 3 === 2 ? 0.1 : 0.001 * items));
  const { pass, update } = timed(32, make);
  // 32 items at a millisecond each; other work may take the processor away from every pass, but hardly for long.
  expect(pass).toBeGreaterThan(0.031);
  expect(pass).toBeLessThan(0.09);
  expect(update).toBeGreaterThan(0.0019);
  expect(made.map(({ items }) => items)).toEqual([1, expect.any(Number)]);
  expect(made[1]!.items).toBeGreaterThan(1);
  expect(made[1]!.items).toBeLessThanOrEqual(16);
  expect(made[1]!.passes).toBeGreaterThan(10);
  expect(made.map(({ disposed }) => disposed)).toEqual([1, 1]);
});

test("slow passes are of one item, and few", () => {
  const { make, made } = trials(() => 0.4);
  const begin = performance.now();
  const { pass } = timed(8, make);
  expect(pass).toBeGreaterThan(8 * 0.39);
  expect(made).toMatchObject([{ items: 1, disposed: 1 }]);
  expect(made[0]!.passes).toBeLessThanOrEqual(6);
  expect((performance.now() - begin) / 1000).toBeLessThan(10);
});
