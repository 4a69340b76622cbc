import { expect, test } from "vitest";
import { ARM_NAMES, type ArmName } from "../../src/reproduce/arms.ts";
import { comparisonsOf } from "../../src/reproduce/comparisons.ts";

const FIGURE = { name: "fid", title: "FID", better: "lower", digits: 1 } as const;

/** Titles and arms of the tables of runs of some arms. */
const tablesOf = (arms: readonly ArmName[]) =>
  comparisonsOf(
    arms.map((arm) => ({ arm, seed: 1, step: 400, figures: { fid: 1 } })),
    [FIGURE],
  ).map((table) => ({ title: table.title, arms: table.arms.map(({ arm }) => arm) }));

test("whichever two arms are run, a table has both, and one that is run alone has one", () => {
  for (const [i, arm] of ARM_NAMES.entries()) {
    expect(tablesOf([arm])).toEqual([{ title: "All arms", arms: [arm] }]);
    for (const other of ARM_NAMES.slice(0, i)) {
      const tables = tablesOf([arm, other]);
      expect(tables).toHaveLength(1);
      expect(tables[0]!.arms, `${other}, ${arm}`).toEqual([other, arm]);
    }
  }
});

test("all are compared beside the named questions only where these leave one out", () => {
  expect(tablesOf(["none", "paired", "within"]).map(({ title }) => title)).toEqual(["Ways to integrate"]);
  expect(tablesOf(["coupled", "none", "paired", "within-near"])).toEqual([
    { title: "Ways to integrate", arms: ["none", "paired"] },
    { title: "The image's decoder sees the condition", arms: ["none", "coupled"] },
    { title: "All arms", arms: ["none", "paired", "coupled", "within-near"] },
  ]);
});
