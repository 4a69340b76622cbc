import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CosineAnnealingLR,
  LambdaLR,
  type LRScheduler,
  liveTensors,
  load,
  SGD,
  StepLR,
  save,
  tensor,
} from "@iqvae/torch";
import { afterAll, describe, expect, test } from "vitest";
import { readGoldens } from "./goldens.ts";

const goldens = readGoldens("criteria.safetensors");
const folder = mkdtempSync(join(tmpdir(), "scheduler-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "run.safetensors");

/** Two groups, one with a rate of its own. */
const optimizer = (lr = 0.01) => {
  const parameter = () => [tensor([0], { requiresGrad: true })];
  return new SGD([{ params: parameter() }, { params: parameter(), lr: 0.5 }], { lr });
};

const CASES: [name: string, make: (changed: SGD) => LRScheduler][] = [
  ["StepLR", (changed) => new StepLR(changed, 3, 0.7)],
  ["StepLR by default", (changed) => new StepLR(changed, 10)],
  ["CosineAnnealingLR", (changed) => new CosineAnnealingLR(changed, 10, 0.001)],
  ["LambdaLR", (changed) => new LambdaLR(changed, (epoch) => 1 / (2 + epoch))],
];

describe("schedules against PyTorch", () => {
  test.each(CASES)("%s", (name, make) => {
    const wanted = goldens.get(name)!.get("curve")!.get("rates")!.tolist() as number[][];
    const changed = optimizer();
    const schedule = make(changed);
    expect(wanted).toHaveLength(25);
    for (const rates of wanted) {
      expect(schedule.getLastLr()).toEqual(changed.paramGroups.map(({ lr }) => lr));
      for (const [i, rate] of rates.entries()) expect(changed.paramGroups[i]!.lr).toBeCloseTo(rate, 12);
      schedule.step();
    }
  });

  test.each(CASES)("%s goes on from a file, with PyTorch's rates at once and in all later steps", (name, make) => {
    const wanted = goldens.get(name)!.get("curve")!.get("rates")!.tolist() as number[][];
    const first = optimizer();
    const scheduler = make(first);
    for (const [steps, rates] of wanted.entries()) {
      save({ scheduler }, path);
      const second = optimizer(1); // a run that goes on may have been given another rate
      const later = make(second);
      load(path, { scheduler: later });
      expect([later.lastEpoch, later.baseLrs]).toEqual([steps, [0.01, 0.5]]);
      expect(second.paramGroups.map(({ lr }) => lr)).toEqual(first.paramGroups.map(({ lr }) => lr));
      for (const [i, rate] of rates.entries()) expect(second.paramGroups[i]!.lr).toBeCloseTo(rate, 12);
      scheduler.step();
      later.step();
      expect(later.getLastLr()).toEqual(scheduler.getLastLr());
    }
  });

  test("a rate that was set by hand is loaded, too, and other groups are refused", () => {
    const [first, second] = [optimizer(), optimizer()];
    const [scheduler, later] = [new StepLR(first, 2), new StepLR(second, 2)];
    first.lr = 0.3;
    const before = liveTensors();
    save({ scheduler }, path);
    load(path, { scheduler: later });
    expect([later.getLastLr(), liveTensors()]).toEqual([[0.3, 0.3], before]);
    const single = new StepLR(new SGD([tensor([0], { requiresGrad: true })], { lr: 1 }), 2);
    expect(() => load(path, { scheduler: single })).toThrow(/'scheduler'.*'baseLrs' has shape \[2\].*\[1\]/);
    expect(single.getLastLr()).toEqual([1]);
  });

  test("what is no number or no function is an error, and no rate of NaN", () => {
    for (const wrong of [Number.NaN, { gamma: 0.5 }, "0.5", null]) {
      expect(() => new StepLR(optimizer(), 2, wrong as number)).toThrow(/StepLR: gamma must be a number, but is/);
      expect(() => new CosineAnnealingLR(optimizer(), 2, wrong as number)).toThrow(
        /CosineAnnealingLR: etaMin must be a number, but is/,
      );
      expect(() => new LambdaLR(optimizer(), wrong as never)).toThrow(/LambdaLR: factor must be a function .*, but is/);
    }
  });

  test("lengths that mean nothing are errors", () => {
    for (const steps of [0, -1, 2.5, Number.NaN]) {
      expect(() => new StepLR(optimizer(), steps)).toThrow(/StepLR.*stepSize/);
      expect(() => new CosineAnnealingLR(optimizer(), steps)).toThrow(/CosineAnnealingLR.*tMax/);
    }
  });
});
