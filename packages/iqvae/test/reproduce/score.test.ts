import fc from "fast-check";
import { expect, test } from "vitest";
import type { FeatureNetwork } from "../../src/metrics/features/network.ts";
import { rowsOf, scoreFigures } from "../../src/reproduce/score.ts";

test("the two halves share no pair, and each is spread over its own", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 5000 }), (length) => {
      const [tune, report] = [rowsOf("tune", length), rowsOf("report", length)];
      for (const rows of [tune, report]) {
        expect(rows.length).toBeGreaterThan(0);
        expect(new Set(rows).size).toBe(rows.length);
        expect(rows.every((row) => Number.isInteger(row) && row >= 0 && row < length)).toBe(true);
      }
      expect(tune.at(-1)!).toBeLessThan(report[0]!);
      // No gap is wider than the share of pairs that are left out.
      const widest = Math.ceil(length / 2 / report.length);
      report.slice(1).forEach((row, i) => {
        expect(row - report[i]!).toBeLessThanOrEqual(widest + 1);
      });
    }),
  );
});

test("figures of a network carry its name", () => {
  const network = { name: "attributes-faces-32" } as FeatureNetwork;
  const titles = scoreFigures({ part: "report", network }).map(({ title }) => title);
  expect(titles.filter((title) => title !== "SWD").every((title) => title.includes("(attributes-faces-32)"))).toBe(
    true,
  );
  expect(titles.join()).not.toMatch(/FID|LPIPS/);
  expect(scoreFigures({ part: "report", network: null }).map(({ name }) => name)).toEqual(["swd"]);
});
