import fc from "fast-check";
import { expect, test } from "vitest";
import type { PairDataset } from "../../src/data/index.ts";
import { columnsOf, half } from "../../src/reproduce/score.ts";
import { heldOut } from "../../src/run/pictures.ts";

test("the two halves share no pair, and rows are spread over each", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 5000 }), fc.integer({ min: 1, max: 600 }), (length, count) => {
      const dataset = { validation: { length } } as PairDataset;
      const [tune, report] = (["tune", "report"] as const).map((part) => heldOut(dataset, count, half(part, length)));
      for (const rows of [tune!, report!]) {
        expect(rows.length).toBe(Math.min(count, rows === tune ? Math.floor(length / 2) : Math.ceil(length / 2)));
        expect(new Set(rows).size).toBe(rows.length);
        expect(rows.every((row) => Number.isInteger(row) && row >= 0 && row < length)).toBe(true);
      }
      expect(tune!.at(-1)!).toBeLessThan(report![0]!);
      const widest = Math.ceil(Math.ceil(length / 2) / report!.length);
      report!.slice(1).forEach((row, i) => {
        expect(row - report![i]!).toBeLessThanOrEqual(widest);
      });
    }),
  );
});

test("columns say what real images score", () => {
  const figure = { key: "swd", label: "SWD", value: 31, real: 12.3456, better: "lower" } as const;
  expect(columnsOf([figure, { ...figure, real: null }]).map(({ title }) => title)).toEqual(["SWD [real: 12.3]", "SWD"]);
});
