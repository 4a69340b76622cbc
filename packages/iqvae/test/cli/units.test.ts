import { expect, test } from "vitest";
import { inDigits, inUnits } from "../../src/cli/units.ts";

test.each([
  [0, "0.00 ms"],
  [0.000_012_34, "0.0123 ms"],
  [0.0866, "86.6 ms"],
  [0.9994, "999 ms"],
  [0.9996, "1.00 s"],
  [1.12, "1.12 s"],
  [119.9, "120 s"],
  [1e6, "16666.7 min"],
])("%f seconds are %s", (seconds, text) => expect(inUnits(seconds)).toBe(text));

test.each([
  [7, "7.00"],
  [999.6, "1,000"],
  [274_321, "274,000"],
])("%f is %s in three digits", (value, text) => expect(inDigits(value)).toBe(text));
