import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { loadConfig } from "../../src/config/index.ts";
import { exposureSchema } from "../../src/stage2/config.ts";

/* What a configuration leaves out decides results as much as what it says. */

test("what is not said of a training", () => {
  const { stage1, stage2, sampling, keepAt } = loadConfig("tiny");
  expect(stage1).toMatchObject({ model: { coupled: false }, perceptual: null, adversarial: null, polishFrom: 1 });
  expect(stage2).toMatchObject({
    pairs: null,
    handDrawn: 0,
    conditionDropout: 0,
    weightDecay: 0.05,
    emaDecay: 0.999,
  });
  expect(sampling).toEqual({ temperature: 1, topK: null, topP: 1, guidance: 1 });
  expect(keepAt).toEqual([]);
});

test("a discriminator is the one that docs/method.md names, and a perceptual term weighs 1", () => {
  const { stage1 } = loadConfig("tiny", ["stage1.adversarial={}", "stage1.perceptual={}"]);
  const method = readFileSync(new URL("../../../../docs/method.md", import.meta.url), "utf8");
  const [, named = ""] = /`stage1\.adversarial: (\{[^}]*\})`/.exec(method) ?? [];
  expect(stage1.adversarial).toEqual(JSON.parse(named));
  expect(stage1.perceptual).toEqual({ weight: 1, network: { kind: "attributes", set: null } });
});

test.each([
  ["colors", { weight: 0.2, pairs: "batch" }],
  ["prediction", { weight: 0.1 }],
])("the control %s in the regularizer's place", (estimator, defaults) => {
  const { stage1 } = loadConfig("tiny", [`stage1.regularizer.estimator=${estimator}`]);
  expect(stage1.regularizer).toEqual({ estimator, ...defaults });
});

test.each([
  [
    "gumbel",
    {
      ...{ every: 4, temperature: { from: 1, to: 0.5 }, maxShare: 0.5, rampShare: 0.5 },
      ...{ reliabilityPower: 1, reliabilityAbove: 0, gradient: false },
    },
  ],
  ["random", { share: 0.1 }],
  ["near", { share: 0.2, temperature: 0.05 }],
  ["scheduled", { every: 4, maxShare: 0.25, rampShare: 0.5 }],
  ["noise", { maxShare: 0.5 }],
])("the exposure %s", (kind, defaults) => {
  expect(exposureSchema.parse({ kind })).toEqual({ kind, ...defaults });
});
