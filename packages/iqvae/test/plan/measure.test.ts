import { getDefaultDevice, scope } from "@iqvae/torch";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { loadConfig } from "../../src/config/index.ts";
import { stage2Cost } from "../../src/plan/cost.ts";
import { stage1Trial } from "../../src/plan/made-up.ts";
import { timeSteps } from "../../src/plan/measure.ts";
import { plan } from "../../src/plan/plan.ts";
import { Stage1Trainer } from "../../src/stage1/trainer.ts";
import { Stage2Trainer } from "../../src/stage2/trainer.ts";
import type { Trainer } from "../../src/support/trainer.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A trainer whose steps take `seconds(rows, step)` of a clock that stands otherwise, and the rows of its steps. */
function trial(seconds: (rows: number, step: number) => number) {
  const rows: number[] = [];
  const step = ({ length }: Uint32Array) => {
    rows.push(length);
    vi.advanceTimersByTime(1000 * seconds(length, rows.length));
    return { loss: 0 };
  };
  return { trainer: { step } as Partial<Trainer> as Trainer, rows };
}

test("the quickest of many steps counts, however slow the first ones and every third are", () => {
  const { trainer, rows } = trial((rows, step) => (step < 3 || step % 3 === 0 ? 0.9 : 0.004 + 0.002 * rows));
  const { fixed, each } = timeSteps({ trainer }, 32);
  expect(fixed).toBeCloseTo(0.004, 6);
  expect(each).toBeCloseTo(0.002, 6);
  expect(new Set(rows)).toEqual(new Set([1, 16]));
});

test("slow steps are of one row and of two, and few", () => {
  const { trainer, rows } = trial((rows) => 3 + 2 * rows);
  expect(timeSteps({ trainer }, 8)).toEqual({ fixed: expect.closeTo(3, 6), each: expect.closeTo(2, 6) });
  expect(rows).toEqual([1, 1, 1, 2]);
});

test("a step of one row is timed as it is", () => {
  const { trainer, rows } = trial(() => 3);
  expect(timeSteps({ trainer }, 1)).toEqual({ fixed: 0, each: expect.closeTo(3, 6) });
  expect(rows).toEqual([1, 1, 1]);
});

test("a trial of stage 1 trains the encoders in every step, however early the decoders would polish alone", () => {
  const tiny = loadConfig("tiny");
  const { trainer, dispose } = stage1Trial({ ...tiny, stage1: { ...tiny.stage1, polishFrom: 0.3 } });
  const step = () => scope(() => trainer.step(new Uint32Array(2)));
  for (let i = 0; i < 8; i++) step();
  const [, weight] = [...trainer.tensors()].find(([name]) => /image\.encoder\..*weight$/.test(name))!;
  const before = [...weight.read("float32")];
  step();
  expect([...weight.read("float32")]).not.toEqual(before);
  dispose();
});

test("a step of the whole training follows from steps of few rows and few layers", () => {
  const spend = (milliseconds: number) => {
    vi.advanceTimersByTime(milliseconds);
    return { loss: 0, rate: 0 };
  };
  // What operations are counted of is real.
  const isCounted = () => getDefaultDevice() === "meta";
  const [first, second] = [Stage1Trainer.prototype.step, Stage2Trainer.prototype.step];
  vi.spyOn(Stage1Trainer.prototype, "step").mockImplementation(function (this: Stage1Trainer, rows) {
    return isCounted() ? first.call(this, rows) : spend(4 + 2 * rows.length);
  });
  vi.spyOn(Stage2Trainer.prototype, "step").mockImplementation(function (this: Stage2Trainer, rows) {
    const { layers } = this.config.model;
    return isCounted() ? second.call(this, rows) : spend(4 + 2 * layers + (1 + layers) * rows.length);
  });
  const settings = ["stage2.model.layers=3", "stage2.accumulate=2"];
  const [mixing, plain] = ['{"kind":"gumbel","every":1}', '{"kind":"teacher"}'].map((exposure) =>
    loadConfig("tiny", [...settings, `stage2.exposure=${exposure}`]),
  );
  const { stage1, stage2 } = plan(mixing!, { measure: true, utilization: 0.4 });
  expect(stage1.here).toBeCloseTo((4 + 2 * mixing!.stage1.batch) / 1000, 9);
  const [more, once] = [mixing!, plain!].map((config) => stage2Cost(config).operations);
  expect(more! / once!).toBeGreaterThan(1.1);
  // What does not depend on the rows, and what they take, in passes of which some come in pairs.
  const milliseconds = 4 + 2 * 3 + (1 + 3) * 2 * mixing!.stage2.batch * (more! / once!);
  expect(stage2.here).toBeCloseTo(milliseconds / 1000, 9);
});
