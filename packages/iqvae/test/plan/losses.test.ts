import { ops, scope, type Tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config/index.ts";
import { AttributesNetwork, attributesFeatures } from "../../src/features/attributes.ts";
import { perceptualDistance } from "../../src/features/network.ts";
import { VGG16_SHAPES, vgg16 } from "../../src/features/vgg.ts";
import { stage1Cost } from "../../src/plan/cost.ts";
import { total } from "../../src/plan/layers.ts";
import { lossLayers } from "../../src/plan/losses.ts";
import { countParameters } from "../../src/plan/plan.ts";
import { type Planned, plannedOf, plannedTokens } from "../../src/plan/planned.ts";
import { createRegularizer, type EstimatorInput, estimatorSchema } from "../../src/regularizer/index.ts";
import { AdversarialLoss } from "../../src/stage1/adversarial.ts";
import { hashedWeights } from "../metrics/goldens.ts";
import { type Counted, counting } from "./counter.ts";

const BATCH = 2;
type Losses = Pick<Planned, "perceptual" | "adversarial" | "regularizer">;
const NONE: Losses = { perceptual: null, adversarial: null, regularizer: { estimator: "none" } };
const start: Planned = { ...plannedOf(loadConfig("start")), ...NONE };
const ADVERSARIAL = { weight: 0.8, startShare: 0.5, rate: 1e-4, channels: 16, layers: 2 };

const pictures = (): Tensor => ops.aten.rand([BATCH, start.size, start.size, 3]).permute([0, 3, 1, 2]);
const withGradient = (x: Tensor): Tensor => x.detach().requires_grad_();

/** What the plan says of a batch. */
function planned(losses: Partial<Losses>): Counted {
  const layers = lossLayers({ ...start, ...losses }, BATCH);
  return {
    forward: BATCH * total(layers, (layer) => layer.forward),
    backward: BATCH * total(layers, (layer) => layer.backward),
  };
}

describe("operations are those that are called", () => {
  const networks = {
    attributes: () => attributesFeatures(new AttributesNetwork([], 2), "attributes", ""),
    "vgg16-lpips": () => vgg16(hashedWeights(VGG16_SHAPES)),
  };
  test.each(["attributes", "vgg16-lpips"] as const)("by the perceptual term with %s", (kind) => {
    const network = networks[kind]();
    const counted = scope(() => counting(() => void perceptualDistance(network, withGradient(pictures()), pictures())));
    expect(planned({ perceptual: kind })).toEqual(counted);
  });

  test.each([1, 2, 3])("by a discriminator of %s layers and its adaptive weight", (layers) => {
    const config = { ...ADVERSARIAL, layers };
    const adversary = new AdversarialLoss(config);
    let head: Counted = { forward: 0, backward: 0 };
    const counted = scope(() => {
      const { image } = start;
      const side = start.size / image.patch;
      const features = ops.aten.rand([BATCH, image.channels * image.multipliers[0]!, side, side]);
      const last = withGradient(ops.aten.rand([3 * image.patch ** 2, features.shape[1]!, 3, 3]));
      const real = pictures();
      return counting(() => {
        let reconstruction = real;
        head = counting(() => {
          const planes = ops.aten.conv2d(features, last, null, [1, 1], [1, 1]);
          reconstruction = ops.aten.pixel_shuffle(planes, image.patch);
        });
        const loss = ops.aten.l1_loss(reconstruction, real);
        adversary.compute({ real, reconstruction, loss, last }, 1, (body) => body());
      });
    });
    const judged = counted.forward - head.forward;
    expect(planned({ adversarial: config })).toEqual({
      forward: judged,
      // What the counter does not see is gone through again: the judgement of the reconstruction back to the picture, and the
      // decoder's last layer, for both sides of the adaptive weight.
      backward: counted.backward - head.backward + judged / 2 + 2 * head.backward,
    });
  });

  test("by the adaptive weight, which goes through the perceptual network once more", () => {
    const both = planned({ perceptual: "attributes", adversarial: ADVERSARIAL });
    const [seen, judged] = [planned({ perceptual: "attributes" }), planned({ adversarial: ADVERSARIAL })];
    expect(both.forward).toBe(seen.forward + judged.forward);
    expect(both.backward).toBe(2 * seen.backward + judged.backward);
  });

  const estimators: EstimatorInput[] = [
    { estimator: "paired", samples: 100 },
    { estimator: "paired", samples: 1000, distance: "sqeuclidean" },
    { estimator: "sliced", samples: 1000 },
    { estimator: "sliced", samples: 101, directions: 7, normalise: true },
    { estimator: "entropic", samples: 20 },
    { estimator: "entropic", samples: 21, normalise: true },
  ];
  test.each(estimators)("by the regularizer %j", (input) => {
    const { image, condition } = start;
    if (condition.kind !== "planes") throw new Error("this preset has planes");
    const side = Math.sqrt(plannedTokens(start).imageTokens);
    const counted = scope(() => {
      const features = (dims: number) => withGradient(ops.aten.randn([BATCH, dims, side, side]));
      const [zX, zC] = [features(image.codeDim), features(condition.model.codeDim)];
      return counting(() => void createRegularizer(input)(zX, zC));
    });
    const plan = planned({ regularizer: estimatorSchema.parse(input) });
    expect(plan.backward).toBeCloseTo(counted.backward, 3);
    // How many steps the plan of the entropic one takes depends on the features.
    if (input.estimator !== "entropic") expect(plan.forward).toBeCloseTo(counted.forward, 3);
    else expect(plan.forward).toBeGreaterThanOrEqual(counted.forward);
  });
});

describe("a step with all losses", () => {
  const all: Planned = {
    ...start,
    perceptual: "attributes",
    adversarial: ADVERSARIAL,
    regularizer: { estimator: "none" },
  };

  test("trains the discriminator and holds the network", () => {
    const [without, withAll] = [stage1Cost(start), stage1Cost(all)];
    expect(withAll.parameters).toBe(countParameters(all).stage1);
    expect(withAll.parameters).toBeGreaterThan(without.parameters);
    const network = new AttributesNetwork([], 2);
    const fixed = [...network.namedParameters()].filter(([name]) => name.startsWith("levels"));
    expect(withAll.memory.lasting - without.memory.lasting).toBe(
      12 * (withAll.parameters - without.parameters) + 4 * fixed.reduce((sum, [, { numel }]) => sum + numel, 0),
    );
    expect(withAll.memory.step).toBeGreaterThan(without.memory.step);
  });

  test("VGG-16 has as many weights as its file", () => {
    const layers = lossLayers({ ...start, perceptual: "vgg16-lpips" }, 1);
    const weights = [...VGG16_SHAPES.values()].map((shape) => shape.reduce((product, side) => product * side, 1));
    expect(total(layers, ({ fixed }) => fixed)).toBe(weights.reduce((sum, count) => sum + count));
  });

  test("has no regularizer without features of a condition", () => {
    const words: Planned = { ...start, condition: { kind: "tokens", count: 10, codes: 99 } };
    expect(stage1Cost(words).parameters).toBeLessThan(stage1Cost(start).parameters);
    expect(() => stage1Cost({ ...words, regularizer: estimatorSchema.parse({ estimator: "sliced" }) })).toThrow(
      "There is no regularizer for a condition of tokens, which has no features; use 'none'.",
    );
  });
});
