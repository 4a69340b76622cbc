import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { countTests, summary } from "../../../scripts/count.mjs";
import { checkNode } from "../../../scripts/node-version.mjs";

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

test("the set-up takes the versions of Node.js that the packages and README name", () => {
  const takes = (version: string) => {
    try {
      checkNode(version);
      return true;
    } catch {
      return false;
    }
  };
  expect(["18.20.0", "20.15.1", "21.7.3", "22.2.0"].filter(takes)).toEqual([]);
  expect(["20.16.0", "20.20.2", "22.3.0", "23.0.0", "24.1.0"].filter((version) => !takes(version))).toEqual([]);
  const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
  for (const folder of ["", "packages/torch/", "packages/runtime/", "packages/iqvae/"])
    expect(JSON.parse(read(`${folder}package.json`)).engines.node, folder).toBe("^20.16 || >=22.3");
  expect(read("README.md")).toContain("Node.js 20 (20.16 or newer) or 22.3 or newer");
});
