import { expect, test } from "vitest";
import { columnsOf } from "../../src/reproduce/score.ts";

test("columns say what real images score", () => {
  const figure = { key: "swd", label: "SWD", value: 31, real: 12.3456, better: "lower" } as const;
  expect(columnsOf([figure, { ...figure, real: null }]).map(({ title }) => title)).toEqual(["SWD [real: 12.3]", "SWD"]);
});
