import { noGrad, ops, scope } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config/index.ts";
import { PAPER_PRESET_NAMES, PAPER_PRESETS } from "../../src/config/paper.ts";
import { axesOf } from "../../src/models/autoencoder.ts";
import { VqAutoencoder } from "../../src/models/iqvae.ts";
import { Transformer } from "../../src/models/transformer.ts";
import { stage1Cost, stage1Layers, stage2Cost, stage2Layers } from "../../src/plan/cost.ts";
import { autoencoderLayers, total, transformerLayers } from "../../src/plan/layers.ts";
import { countParameters, H100, plan } from "../../src/plan/plan.ts";
import { type Planned, plannedOf, plannedTokens } from "../../src/plan/planned.ts";
import { exposureSchema, type GumbelExposure } from "../../src/stage2/config.ts";

const GUMBEL_DEFAULTS = exposureSchema.parse({ kind: "gumbel" }) as GumbelExposure;

import { counting } from "./counter.ts";

const presets = ["tiny", "start", "words", "speech", "faces"].map((name): [string, Planned] => [
  name,
  plannedOf(loadConfig(name)),
]);
const paper = PAPER_PRESET_NAMES.map((name): [string, Planned] => [name, PAPER_PRESETS[name]]);

describe.each([...presets, ...paper])("%s", (_, planned) => {
  test("has as many parameters as its networks", () => {
    const counted = countParameters(planned);
    expect(stage1Cost(planned).parameters).toBe(counted.stage1);
    expect(stage2Cost(planned).parameters).toBe(counted.stage2);
  });
});

test("counting the parameters of a large network takes no memory", () => {
  const before = process.memoryUsage.rss();
  expect(countParameters(PAPER_PRESETS["paper-ade20k"]).stage2).toBe(305_980_416);
  expect(process.memoryUsage.rss() - before).toBeLessThan(100e6); // its weights are 1.2 GB
});

describe.each(presets.slice(0, 4))("operations of %s are those that its networks call", (_, planned) => {
  const { image, condition, size, transformer } = planned;
  if (condition.kind !== "planes") throw new Error("these presets have planes");

  test.each([
    ["image", 3, 3, image, [size, size] as const],
    ["condition", condition.inputs, condition.outputs, condition.model, condition.size],
  ] as const)("%s half", (_half, inputs, outputs, config, planeSize) => {
    const model = new VqAutoencoder(inputs, outputs, config, axesOf(planeSize));
    const counted = scope(() => {
      const planes = ops.aten.rand([2, ...planeSize, inputs]).permute([0, 3, 1, 2]);
      return counting(() => void model.forward(planes, "use"));
    });
    const layers = autoencoderLayers(inputs, outputs, config, planeSize);
    expect(2 * total(layers, ({ forward }) => forward)).toBe(counted.forward);
    expect(2 * total(layers, ({ backward }) => backward)).toBe(counted.backward);
  });

  test("transformer", () => {
    const tokens = plannedTokens(planned);
    const model = new Transformer({ ...transformer, dropout: 0 }, tokens);
    const counted = scope(() => {
      const random = (codes: number, count: number) => ops.aten.randint(codes, [2, count], { dtype: "int64" });
      const [c, x] = [
        random(tokens.conditionCodes, tokens.conditionTokens),
        random(tokens.imageCodes, tokens.imageTokens - 1),
      ];
      return counting(() => void model.forward(c, x));
    });
    const layers = transformerLayers(transformer, tokens);
    expect(2 * total(layers, ({ forward }) => forward)).toBe(counted.forward);
    expect(2 * total(layers, ({ backward }) => backward)).toBe(counted.backward);
  });
});

test("without gradients the counter sees no way back", () => {
  const planned = presets[0]![1];
  const model = new VqAutoencoder(3, 3, planned.image);
  const counted = scope(() => noGrad(() => counting(() => void model.forward(ops.aten.rand([1, 3, 32, 32]), "use"))));
  expect(counted.forward).toBeGreaterThan(0);
  expect(counted.backward).toBe(0);
});

describe("a step", () => {
  const planned = presets[1]![1];
  const teacher: Planned = { ...planned, exposure: { kind: "teacher" } };

  test("costs as often as much as the batch and the passes say", () => {
    const untied: Planned = { ...planned, regularizer: { estimator: "none" } };
    expect(stage1Cost(untied, 8).operations).toBe(8 * stage1Cost(untied, 1).operations);
    expect(stage2Cost(teacher, 8, 3).operations).toBe(24 * stage2Cost(teacher, 1, 1).operations);
  });

  test("with Gumbel sampling has a second pass and the embedding of samples on every fourth", () => {
    const { imageTokens, imageCodes } = plannedTokens(planned);
    const once = stage2Cost(teacher, 1, 1).operations;
    const embedding = 3 * 2 * (imageTokens - 1) * imageCodes * planned.transformer.width;
    const gumbel = stage2Cost({ ...planned, exposure: GUMBEL_DEFAULTS }, 1, 1);
    expect(gumbel.operations).toBeCloseTo(once + (once + embedding) / 4, 3);
    const step = (each: Planned) => stage2Cost(each, 64, 1).memory.step;
    expect(step({ ...planned, exposure: GUMBEL_DEFAULTS })).toBeGreaterThan(step(teacher));
  });

  test("that follows no gradient through pass one goes through it forward only, and keeps nothing of it", () => {
    const forward = total(stage2Layers(planned), (layer) => layer.forward);
    const extra = (exposure: Planned["exposure"]) =>
      stage2Cost({ ...planned, exposure }, 1, 1).operations - stage2Cost(teacher, 1, 1).operations;
    const { imageTokens, imageCodes } = plannedTokens(planned);
    const embedding = 2 * 2 * (imageTokens - 1) * imageCodes * planned.transformer.width;
    const detached: Planned["exposure"] = { ...GUMBEL_DEFAULTS, gradient: false };
    expect(extra({ kind: "scheduled", every: 2, maxShare: 1, rampShare: 1 })).toBeCloseTo(forward / 2, 0);
    expect(extra(detached)).toBeCloseTo((forward + embedding) / 4, 0);
    expect(extra({ kind: "random", share: 0.5 })).toBe(0);
    expect(stage2Cost({ ...planned, exposure: detached }, 64, 1).memory).toEqual(stage2Cost(teacher, 64, 1).memory);
  });

  test("needs the weights, moments and averages at least, and more for a larger batch", () => {
    for (const [, each] of presets) {
      const [small, large] = [stage2Cost(each, 1), stage2Cost(each, 64)];
      expect(small.memory.lasting).toBe(16 * small.parameters);
      expect(large.memory.lasting).toBe(small.memory.lasting);
      expect(large.memory.peak).toBeGreaterThan(small.memory.peak);
      expect(small.memory.peak).toBe(small.memory.lasting + small.memory.step);
      expect(stage1Cost(each).memory.lasting).toBe(12 * stage1Cost(each).parameters);
    }
  });

  test("on an H100 takes its operations over the share of the peak", () => {
    const made = plan(planned, { measure: false, utilization: 0.5 });
    expect(made.stage1.h100).toBe(stage1Cost(planned).operations / (0.5 * H100));
    expect(made.stage1.here).toBeUndefined();
  });

  test("is timed here", () => {
    const { stage1, stage2, unmeasured } = plan(presets[0]![1], { measure: true, utilization: 0.4 });
    expect(unmeasured).toBeUndefined();
    for (const { here } of [stage1, stage2]) {
      expect(here).toBeGreaterThan(1e-5);
      expect(here).toBeLessThan(60);
    }
  });
});

test("a condition of tokens has no network in stage 1", () => {
  const maps: Planned = {
    ...PAPER_PRESETS["paper-ade20k"],
    perceptual: null,
    adversarial: null,
    regularizer: { estimator: "none" },
  };
  const words: Planned = { ...maps, condition: { kind: "tokens", count: 10, codes: 99 } };
  expect(stage1Layers(words).length * 2).toBe(stage1Layers(maps).length);
  expect(plannedTokens(words)).toMatchObject({ conditionTokens: 10, conditionCodes: 99, imageTokens: 256 });
});
