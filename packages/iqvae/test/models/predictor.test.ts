import { AdamW, grad, manualSeed, ops, scope, type Tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { FeaturePredictor } from "../../src/models/predictor.ts";

const SHAPE = { conditionPlaces: 5, imagePlaces: 6, conditionDim: 3, imageDim: 4 };
const numbers = (x: Tensor): number[] => Array.from(x.detach().contiguous().to("float64").read("float64"));

function made(): FeaturePredictor {
  manualSeed(3);
  return new FeaturePredictor(SHAPE);
}

describe("the predictor of features", () => {
  test("predicts each place from the whole condition and the places before it", () => {
    scope(() => {
      const predictor = made();
      const [condition, image] = [ops.aten.randn([2, 5, 3]), ops.aten.randn([2, 6, 4])];
      const before = predictor.forward(condition, image);
      expect(before.shape).toEqual([2, 6, 4]);
      const moved = (c: Tensor, x: Tensor) => numbers(predictor.forward(c, x).sub(before).abs().amax([0, 2]));
      for (const at of [0, 2, 5]) {
        const other = image.clone();
        other.select(1, at).add_(1);
        const change = moved(condition, other);
        expect(Math.max(...change.slice(0, at + 1)), `up to ${at}`).toBeLessThan(1e-6);
        if (at < 5) expect(Math.min(...change.slice(at + 1)), `after ${at}`).toBeGreaterThan(1e-6);
      }
      const other = condition.clone();
      other.select(1, 4).add_(1);
      expect(Math.min(...moved(other, image))).toBeGreaterThan(1e-6);
    });
  });

  test("its surprise is 1 − cos, and no gradient of it reaches the condition", () => {
    scope(() => {
      const predictor = made();
      const maps = [ops.aten.randn([2, 4, 2, 3]), ops.aten.randn([2, 3, 1, 5])];
      for (const map of maps) map.requiresGrad = true;
      const [image, condition] = maps as [Tensor, Tensor];
      const surprise = predictor.surprise(image, condition);
      const rows = (map: Tensor) => map.flatten(2).transpose(1, 2);
      const predicted = predictor.forward(rows(condition), rows(image));
      const unit = (x: Tensor) => x.div(x.norm(2, [-1], true));
      const cosines = unit(predicted)
        .mul(unit(rows(image)))
        .sum([-1]);
      expect(surprise.item()).toBeCloseTo(1 - cosines.mean().item(), 5);
      const [ofImage, ofCondition, ...ofWeights] = grad([surprise], [...maps, ...predictor.namedParameters().values()]);
      expect(ofCondition).toBeNull();
      for (const [i, name] of [...predictor.namedParameters().keys()].entries())
        expect(ofWeights[i]?.abs().sum().item(), name).toBeGreaterThan(0);
      expect(ofImage!.abs().amax([0, 1]).gt(0).all().item()).toBe(1);
    });
  });

  test("learns what the condition says, and no more", () => {
    const told = surpriseAfterTraining((condition) => condition);
    const untold = surpriseAfterTraining((condition) => ops.aten.randn_like(condition));
    expect(told).toBeLessThan(0.6);
    expect(untold).toBeGreaterThan(0.8);
  });

  /** Of features that are a function of a condition, place by place, when it is given or something else is. */
  function surpriseAfterTraining(shown: (condition: Tensor) => Tensor): number {
    manualSeed(4);
    const predictor = new FeaturePredictor({ ...SHAPE, conditionPlaces: 6 });
    const optimizer = new AdamW(predictor.parameters(), { lr: 3e-3 });
    const map = ops.aten.randn([3, 4]);
    let last = 0;
    for (let step = 0; step < 150; step++)
      last = scope(() => {
        const condition = ops.aten.randn([32, 3, 2, 3]);
        const image = condition.permute([0, 2, 3, 1]).matmul(map).permute([0, 3, 1, 2]);
        optimizer.zeroGrad();
        const surprise = predictor.surprise(image, shown(condition));
        surprise.backward();
        optimizer.step();
        return surprise.item();
      });
    return last;
  }
});
