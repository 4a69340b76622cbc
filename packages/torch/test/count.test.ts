import { describe, expect, test } from "vitest";
import { countTests, summary } from "../../../scripts/count.mjs";

describe("the count at the end of a test run", () => {
  const report = { numPassedTests: 5, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [] };

  test("is written as one line", () => {
    expect(summary(countTests(report, 0))).toBe("5 passed, 0 failed");
    expect(summary(countTests({ ...report, numFailedTests: 2, numPendingTests: 1, numTodoTests: 1 }, 1))).toBe(
      "5 passed, 2 failed, 2 skipped",
    );
  });

  test("counts a file that could not run, but not twice one whose tests failed", () => {
    const testResults = [
      { status: "failed", assertionResults: [] },
      { status: "failed", assertionResults: [{ status: "passed" }, { status: "failed" }] },
      { status: "passed", assertionResults: [{ status: "passed" }] },
    ];
    expect(countTests({ ...report, numFailedTests: 1, testResults }, 1)).toMatchObject({ passed: 5, failed: 2 });
  });

  test("never says that nothing failed when vitest did", () => {
    expect(summary(countTests(report, 1))).toBe("5 passed, 1 failed");
    expect(summary(countTests(undefined, 1))).toBe("0 passed, 1 failed");
  });
});
