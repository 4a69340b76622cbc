import { expect, test } from "vitest";
import { columnsOf, valuesOf } from "../../src/reproduce/score.ts";

test("columns say what real images score", () => {
  const figure = { key: "swd", label: "SWD", value: 31, real: 12.3456, better: "lower" } as const;
  expect(columnsOf([figure, { ...figure, real: null }]).map(({ title }) => title)).toEqual(["SWD [real: 12.3]", "SWD"]);
});

test("the floor of the gap is each run's own, so that it is a column and not in the title", () => {
  const gap = { key: "triple.gap.colors", label: "gap", value: 8, real: 3.3, better: "lower" } as const;
  const total = { ...gap, key: "triple.total.colors", label: "total", value: 16, real: 5.3 } as const;
  expect(columnsOf([gap, total]).map(({ name, title }) => [name, title])).toEqual([
    ["triple.gap.colors", "gap"],
    ["triple.gap.colors.floor", "gap, floor"],
    ["triple.excess.colors", "total, above its floor"],
    ["triple.total.colors", "total [real: 5.3]"],
  ]);
  expect(valuesOf([gap, total])).toEqual({
    "triple.gap.colors": 8,
    "triple.gap.colors.floor": 3.3,
    "triple.excess.colors": 16 - 5.3,
    "triple.total.colors": 16,
  });
  expect(columnsOf([{ ...gap, real: null }]).map(({ name }) => name)).toEqual([gap.key]);
});
