import { expect, test } from "vitest";
import { ARM_NAMES, type ArmName } from "../../src/reproduce/arms.ts";
import { picturedRuns, seedOf } from "../../src/reproduce/pictures.ts";
import { type AblationResults, html, markdown } from "../../src/reproduce/report.ts";
import type { PlannedRun } from "../../src/reproduce/runs.ts";

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

/** Relative luminance by WCAG 2. */
function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

const contrast = (a: string, b: string) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high! + 0.05) / (low! + 0.05);
};

test("names and figures of all arms can be read, on light and dark", () => {
  const plan = { task: "emoji-edges", seeds: [1], arms: ARM_NAMES, budget: { regime: "core" }, out: "runs/x" } as const;
  const made = { plan, part: null, runs: [], scored: [], failed: [], figures: [], comparisons: [] };
  const page = html(made, undefined);
  const themes = [...page.matchAll(/:root \{[^}]*\}/g)].map(
    ([root]) => new Map([...root.matchAll(/(--\w+): (#\w{6})/g)].map(([, name, color]) => [name!, color!])),
  );
  expect(themes).toHaveLength(2);
  const ofRuns = [...page.matchAll(/^(.*run.*?)\{([^}]*)\}/gm)].flatMap(([, , body]) =>
    [...body!.matchAll(/(?<![-\w])color: *([^;]+);/g)].map(([, color]) => color!),
  );
  expect(ofRuns.length).toBeGreaterThan(0);
  for (const theme of themes) {
    for (const ground of ["--card", "--ground"]) {
      for (const color of ofRuns) {
        const text = theme.get(/^var\((--\w+)\)$/.exec(color)?.[1] ?? "") ?? color;
        expect(contrast(text, theme.get(ground)!), `${color} on ${ground}`).toBeGreaterThan(7);
      }
      // What text of every report is set in.
      for (const color of ["--ink", "--soft", "--train", "--validation"])
        expect(contrast(theme.get(color)!, theme.get(ground)!), `${color} on ${ground}`).toBeGreaterThan(4.5);
    }
  }
  const swatches = [...page.matchAll(/span\.run\d+::before, th\.run\d+::before \{ background: ([^;]+);/g)];
  expect(new Set(swatches.map(([, color]) => color)).size).toBe(ARM_NAMES.length);
});

test("arms are shown by runs of one seed where there is one, else the seeds are said", () => {
  const run = (arm: ArmName, seed: number) => ({ arm, seed }) as PlannedRun;
  const of = (...runs: PlannedRun[]) => {
    const shown = picturedRuns(["none", "paired", "within"], runs);
    return [shown.map(({ arm, seed }) => `${arm} ${seed}`), seedOf(shown)];
  };
  const both = [run("none", 1), run("none", 2), run("within", 2), run("within", 3)];
  expect(of(...both)).toEqual([["none 2", "within 2"], 2]);
  expect(of(run("none", 1), run("within", 2))).toEqual([["none 1", "within 2"], undefined]);
  expect(of()).toEqual([[], undefined]);
});
