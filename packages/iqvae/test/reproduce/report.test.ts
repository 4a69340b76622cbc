import { expect, test } from "vitest";
import { type AblationResults, markdown } from "../../src/reproduce/report.ts";

test("the tables say what they were made with", () => {
  const made = (budget: AblationResults["plan"]["budget"], part: AblationResults["part"] = "report") => {
    const plan = { task: "emoji-edges", seeds: [1, 2], arms: ["none", "paired"], budget, out: "runs/x" } as const;
    return markdown({ plan, part, runs: [], scored: [], failed: [], figures: [], comparisons: [] }).split("\n")[2];
  };
  const core = { regime: "core" } as const;
  expect(made(core)).toContain("Regime core, 2 arms, seeds 1, 2, equal budgets.");
  expect(made(core)).toContain("held-out pairs for reporting");
  expect(made(core, "tune")).toContain("held-out pairs for finding settings");
  expect(made(core, null)).toContain("held-out pairs for picking weights");
  expect(made({ regime: "cut", steps1: 5, steps2: 6, set: ["stage1.rate=0.1", "seed=3"] })).toContain(
    "equal budgets, with stage1.steps=5, stage2.steps=6, stage1.rate=0.1, seed=3.",
  );
});
