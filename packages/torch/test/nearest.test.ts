import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { editDistance, nearest } from "../src/nearest.ts";

describe("the nearest choice", () => {
  test("follows the edit distance, by hand-counted cases", () => {
    expect(editDistance("kitten", "sitting")).toBe(3);
    expect(editDistance("", "abc")).toBe(3);
    expect(editDistance("ab", "ba")).toBe(1);
    expect(editDistance("regulariser", "regularizer")).toBe(1);
    expect(nearest("trian", ["data", "train"])).toBe("train");
    expect(nearest("zzzzzz", ["data", "train"])).toBeUndefined();
    // Both lengths multiplied would be memory that there is not.
    expect(nearest("x".repeat(1e7), ["x".repeat(1e7)])).toBeUndefined();
  });

  test("is symmetric, and zero for equal words alone", async () => {
    const word = fc.string({ maxLength: 8 });
    await fc.assert(
      fc.property(word, word, (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b) === 0).toBe(a === b);
      }),
    );
  });
});
