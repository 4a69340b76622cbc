import { CosineAnnealingLR, LambdaLR, type LRScheduler, SGD, StepLR, tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { readGoldens } from "./goldens.ts";

const goldens = readGoldens("criteria.safetensors");

/** Two groups, one with a rate of its own. */
const optimizer = () => {
  const parameter = () => [tensor([0], { requiresGrad: true })];
  return new SGD([{ params: parameter() }, { params: parameter(), lr: 0.5 }], { lr: 0.01 });
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

  test.each(CASES)("%s goes on where a run was interrupted", (_, make) => {
    const [alone, stopped] = [optimizer(), optimizer()];
    const [whole, later] = [make(alone), make(stopped)];
    for (let step = 0; step < 7; step++) whole.step();
    later.lastEpoch = 6;
    later.step();
    expect(later.getLastLr()).toEqual(whole.getLastLr());
  });

  test("lengths that mean nothing are errors", () => {
    for (const steps of [0, -1, 2.5, Number.NaN]) {
      expect(() => new StepLR(optimizer(), steps)).toThrow(/StepLR.*stepSize/);
      expect(() => new CosineAnnealingLR(optimizer(), steps)).toThrow(/CosineAnnealingLR.*tMax/);
    }
  });
});
