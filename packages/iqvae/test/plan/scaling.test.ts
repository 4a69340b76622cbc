import { describe, expect, test } from "vitest";
import { scaling } from "../../src/plan/scaling.ts";

// 306 M values in 100 ms, as the larger stage of the paper's size.
const stage = { parameters: 306e6, h100: 0.1, passes: 1 };

describe("the model of many GPUs", () => {
  test("has one GPU at its own pace", () => {
    expect(scaling(stage, 1)).toEqual({ gpus: 1, allReduce: 0, flat: 1, efficiency: 1 });
  });

  test("is a ring: 2·(N−1)/N of all bytes over the bus, by hand", () => {
    // 2 · 7/8 · 1.224 GB / 430 GB/s = 4.98 ms, and three doublings of 35 µs; 0.4 % of straggling for each.
    const { allReduce, flat } = scaling(stage, 8);
    expect(allReduce).toBeCloseTo(0.00498 + 0.000105, 5);
    expect(flat).toBeCloseTo(1 / (1 + 0.0509 + 0.012), 3);
  });

  test("takes the slower bus between nodes, and one that is named", () => {
    expect(scaling(stage, 16).allReduce).toBeCloseTo(((2 * 15) / 16) * (1.224 / 320) + 4 * 35e-6, 5);
    expect(scaling(stage, 16, 12.5e9).allReduce).toBeCloseTo(((2 * 15) / 16) * (1.224 / 12.5) + 4 * 35e-6, 5);
  });

  test("hides what fits behind the way back, but for the last part", () => {
    for (const gpus of [2, 8, 64, 1024]) {
      const { flat, efficiency } = scaling(stage, gpus);
      expect(efficiency).toBeGreaterThan(flat);
      expect(efficiency).toBeLessThan(1);
    }
    // A bus so slow that most of the reduction is in nobody's shade: two thirds of the step are hidden.
    const { allReduce, efficiency } = scaling(stage, 2, 1e9);
    expect(efficiency).toBeCloseTo(0.1 / (0.1 + allReduce - 0.2 / 3 + 0.0004), 5);
  });

  test("hides nothing behind passes before the last, in which gradients are not known yet", () => {
    const { allReduce, efficiency } = scaling({ ...stage, passes: 8 }, 2, 1e9);
    expect(efficiency).toBeCloseTo(0.1 / (0.1 + allReduce - 0.2 / 3 / 8 + 0.0004), 5);
    expect(scaling({ ...stage, passes: 8 }, 64).flat).toBe(scaling(stage, 64).flat);
  });
});
