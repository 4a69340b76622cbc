import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { expectImpartial, judgeSpec } from "../../src/metrics/judges.ts";
import { ARM_NAMES, ARMS, armsOf, COMPARISON_NAMES, COMPARISONS } from "../../src/reproduce/arms.ts";
import { type AblationPlan, ownSteps, prepareRun, runsOf, scoredSteps, stepsDone } from "../../src/reproduce/runs.ts";
import { configFor, REGIME_NAMES, TASK_NAMES, TASKS } from "../../src/reproduce/tasks.ts";
import { createRun } from "../../src/run/run-folder.ts";
import { temporaryFolder } from "../run/support.ts";

const plan = (over: Partial<AblationPlan> = {}): AblationPlan => ({
  task: "faces-semantic",
  arms: armsOf(["main"]),
  seeds: [1, 2],
  budget: { regime: "cut" },
  out: "ablation",
  ...over,
});

describe("arms", () => {
  test("each has a place in a comparison, and each comparison knows its arms", () => {
    const compared = new Set<string>(COMPARISON_NAMES.flatMap((name) => [...COMPARISONS[name].arms]));
    expect([...compared].sort()).toEqual([...ARM_NAMES].sort());
  });

  test("names of comparisons stand for their arms, each once", () => {
    expect(armsOf(["main"])).toEqual(["none", "paired", "image", "within"]);
    expect(armsOf(["within-near", "exposures", "none"])).toEqual([
      ...["none", "none-gumbel", "none-near", "none-random", "within-near"],
    ]);
    expect(armsOf(COMPARISON_NAMES)).toEqual(ARM_NAMES);
  });

  const settings = TASK_NAMES.flatMap((task) => REGIME_NAMES.map((regime) => ({ task, regime })));

  test.each(settings)("on $task, $regime, each is a configuration that differs in what it is named for", (setting) => {
    const { task, ...budget } = setting;
    const base = configFor(task, "none", 3, budget);
    for (const name of ARM_NAMES) {
      const { regularizer, exposure, codes, coupled } = ARMS[name];
      const config = configFor(task, name, 3, budget);
      expect(config.stage1.regularizer).toMatchObject(regularizer);
      expect(config.stage2.exposure).toMatchObject(exposure);
      expect(config.stage1.model.image.codes).toBe(codes ?? 512);
      expect(config.stage1.model.coupled).toBe(coupled);
      const { image } = base.stage1.model;
      const without = {
        ...config,
        name: base.name,
        stage1: {
          ...config.stage1,
          regularizer: base.stage1.regularizer,
          model: {
            ...config.stage1.model,
            image: { ...config.stage1.model.image, codes: image.codes },
            coupled: false,
          },
        },
        stage2: { ...config.stage2, exposure: base.stage2.exposure },
      };
      expect(without).toEqual(base);
    }
  });

  test.each(settings)("on $task, $regime, the judge is a network that no loss looks with", (setting) => {
    const { task, ...budget } = setting;
    const config = configFor(task, "none", 1, budget);
    const judge = judgeSpec(TASKS[task].judge, config.data.size);
    expect(() => expectImpartial("run", config, [judge])).not.toThrow();
    expect(config.stage1.perceptual === null).toBe(budget.regime === "cut");
    expect(config.stage2.pairs).toBe(budget.regime === "few" ? 1000 : null);
  });
});

describe("a plan", () => {
  test("goes seed by seed, and trains each tokenizer once for a seed, those first", () => {
    const runs = runsOf(plan({ arms: ARM_NAMES }));
    expect(runs.map(({ seed }) => seed)).toEqual([1, 2].flatMap((seed) => ARM_NAMES.map(() => seed)));
    for (const seed of [1, 2]) {
      const ofSeed = runs.filter((run) => run.seed === seed);
      const leaders = ofSeed.filter(({ leader }) => leader === null);
      expect(ofSeed.slice(0, leaders.length)).toEqual(leaders);
      // No regularizer, as described, sliced, two that move the image, three controls, two whose image decoder sees the condition.
      expect(leaders).toHaveLength(10);
    }
    for (const { config, leader, seed } of runs) {
      if (leader === null) continue;
      expect(leader.seed).toBe(seed);
      expect(leader.config.stage1).toEqual(config.stage1);
    }
  });

  test.each([
    [[200, 400, 800], 800, [200, 400, 800]],
    [[400, 200], 800, [200, 400, 800]],
    [[200, 900], 800, [200, 800]],
    [[], 30, [30]],
  ])("to keep %j of %i steps: scored at %j", (keepAt, steps, expected) => {
    const { stage2, ...config } = configFor("emoji-edges", "none", 1, { regime: "cut" });
    expect(scoredSteps({ ...config, keepAt, stage2: { ...stage2, steps } })).toEqual(expected);
  });

  test("counts the steps that a run trains itself", () => {
    const [leader, follower] = runsOf(
      plan({ arms: ["within", "within-near"], seeds: [1], budget: { regime: "cut", steps1: 70, steps2: 300 } }),
    );
    expect([ownSteps(leader!), ownSteps(follower!)]).toEqual([370, 300]);
    expect(stepsDone({ ...leader!, path: join(temporaryFolder(), "none") })).toBe(0);
  });

  test("settings hold for all runs, but not against what arms decide", () => {
    const set = ["stage2.model.width=64", "data.count=99"];
    for (const { config } of runsOf(plan({ budget: { regime: "cut", set } }))) {
      expect(config.stage2.model.width).toBe(64);
      expect(config.data).toMatchObject({ count: 99 });
    }
    expect(() => runsOf(plan({ budget: { regime: "cut", set: ["stage1.regularizer.weight=3"] } }))).toThrow(
      "--set stage1.regularizer.weight=3: the arms of the ablation decide that; choose among them with --arms.",
    );
    const whole = 'stage1={"regularizer":{"estimator":"sliced"}}';
    expect(() => runsOf(plan({ budget: { regime: "cut", set: [whole] } }))).toThrow(
      "stage1.regularizer is set: the arms of the ablation decide that; choose among them with --arms.",
    );
    expect(() => runsOf(plan({ budget: { regime: "cut", set: ["stage2.stpes=3"] } }))).toThrow("did you mean 'steps'?");
  });

  test("a run of other settings is not gone on with", () => {
    const out = temporaryFolder();
    const [run] = runsOf(plan({ out, arms: ["none"], budget: { regime: "cut", steps2: 300 } }));
    createRun(run!.path, run!.config);
    expect(prepareRun(run!).path).toBe(run!.path);
    const [other] = runsOf(
      plan({ out, arms: ["none"], budget: { regime: "cut", steps2: 400, set: ["stage2.batch=8"] } }),
    );
    expect(() => prepareRun(other!)).toThrow(
      `${run!.path} was made with other settings: stage2.steps is 300 there and would be 400 now, and 1 more values differ. ` +
        "Give the same settings as then, or another folder with --out.",
    );
  });

  test("a run that shares a tokenizer waits until there is one", () => {
    const out = temporaryFolder();
    const [leader, follower] = runsOf(plan({ out, arms: ["within", "within-near"], seeds: [1] }));
    createRun(leader!.path, leader!.config);
    expect(() => prepareRun(follower!)).toThrow(`${leader!.path} has not finished stage 1 yet.`);
  });
});
