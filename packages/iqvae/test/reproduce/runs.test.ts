import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { reduction } from "../../src/models/autoencoder.ts";
import { ARM_NAMES, ARMS, armsOf, COMPARISON_NAMES, COMPARISONS } from "../../src/reproduce/arms.ts";
import { type AblationPlan, ownSteps, prepareRun, runsOf, stepsDone } from "../../src/reproduce/runs.ts";
import { configFor, TASK_NAMES } from "../../src/reproduce/tasks.ts";
import { createRun } from "../../src/run/run-folder.ts";
import { temporaryFolder } from "../run/support.ts";

const plan = (over: Partial<AblationPlan> = {}): AblationPlan => ({
  task: "faces-semantic",
  arms: armsOf(["main"]),
  seeds: [1, 2],
  budget: {},
  out: "ablation",
  ...over,
});

describe("arms", () => {
  test("each has a place in a comparison, and each comparison knows its arms", () => {
    const compared = new Set<string>(COMPARISON_NAMES.flatMap((name) => [...COMPARISONS[name].arms]));
    expect([...compared].sort()).toEqual([...ARM_NAMES].sort());
  });

  test("names of comparisons stand for their arms, each once", () => {
    expect(armsOf(["main"])).toEqual(["baseline", "regularizer", "regularizer-gumbel", "gumbel"]);
    expect(armsOf(["noise", "reductions", "f8"])).toEqual(["regularizer-gumbel", "noise", "f8", "f16"]);
    expect(armsOf(COMPARISON_NAMES)).toEqual(ARM_NAMES);
  });

  test.each(TASK_NAMES)("on %s each becomes a configuration that differs in what it is named for alone", (task) => {
    const base = configFor(task, "baseline", 3, {});
    for (const name of ARM_NAMES) {
      const config = configFor(task, name, 3, {});
      expect(config.seed).toBe(3);
      for (const half of ["image", "condition"] as const) {
        expect(reduction(config.stage1.model[half])).toBe(ARMS[name].reduction);
      }
      const { model, regularizer, ...rest } = config.stage1;
      const { model: _, regularizer: __, ...others } = base.stage1;
      expect(regularizer.estimator).toBe(ARMS[name].regularizer.estimator);
      expect(rest).toEqual(others);
      const { exposure, ...stage2 } = config.stage2;
      expect(exposure.kind).toBe(ARMS[name].exposure.kind);
      expect(stage2).toEqual({ ...base.stage2, exposure: undefined });
    }
  });
});

describe("a plan", () => {
  test("trains each tokenizer once for a seed, and those first", () => {
    const runs = runsOf(plan({ arms: ARM_NAMES }));
    expect(runs).toHaveLength(2 * ARM_NAMES.length);
    const leaders = runs.filter(({ leader }) => leader === null);
    expect(runs.slice(0, leaders.length)).toEqual(leaders);
    // No regularizer, paired, moving either side alone, sliced, entropic, two weights, two reductions.
    expect(leaders).toHaveLength(2 * 10);
    for (const { config, leader, seed } of runs) {
      if (leader === null) continue;
      expect(leader.seed).toBe(seed);
      expect(leader.config.stage1).toEqual(config.stage1);
    }
  });

  test("counts the steps that a run trains itself", () => {
    const [leader, , follower] = runsOf(plan({ arms: ["regularizer", "noise"], budget: { steps1: 70, steps2: 300 } }));
    expect([ownSteps(leader!), ownSteps(follower!)]).toEqual([370, 300]);
    expect(stepsDone({ ...leader!, path: join(temporaryFolder(), "none") })).toBe(0);
  });

  test("settings hold for all runs, but not against what arms decide", () => {
    const set = ["stage2.model.width=64", "data.count=99"];
    for (const { config } of runsOf(plan({ budget: { set } }))) {
      expect(config.stage2.model.width).toBe(64);
      expect(config.data).toMatchObject({ count: 99 });
    }
    expect(() => runsOf(plan({ budget: { set: ["stage1.regularizer.weight=3"] } }))).toThrow(
      "--set stage1.regularizer.weight=3: the arms of the ablation decide that; choose among them with --arms.",
    );
    expect(() => runsOf(plan({ budget: { set: ["stage2.stpes=3"] } }))).toThrow("did you mean 'steps'?");
  });

  test("a run of other settings is not gone on with", () => {
    const out = temporaryFolder();
    const [run] = runsOf(plan({ out, arms: ["gumbel"], budget: { steps2: 300 } }));
    createRun(run!.path, run!.config);
    expect(prepareRun(run!).path).toBe(run!.path);
    const [other] = runsOf(plan({ out, arms: ["gumbel"], budget: { steps2: 400, set: ["stage2.batch=8"] } }));
    expect(() => prepareRun(other!)).toThrow(
      `${run!.path} was made with other settings: stage2.steps is 300 there and would be 400 now, and 1 more values differ. ` +
        "Give the same settings as then, or another folder with --out.",
    );
  });

  test("a run that shares a tokenizer waits until there is one", () => {
    const out = temporaryFolder();
    const [leader, , follower] = runsOf(plan({ out, arms: ["regularizer", "noise"] }));
    createRun(leader!.path, leader!.config);
    expect(() => prepareRun(follower!)).toThrow(`${leader!.path} has not finished stage 1 yet.`);
  });
});
