import { scope } from "@iqvae/torch";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { loadConfig } from "../../src/config/index.ts";
import { stage1Trial } from "../../src/plan/made-up.ts";
import { timeSteps } from "../../src/plan/measure.ts";
import type { Trainer } from "../../src/support/trainer.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => void vi.useRealTimers());

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
