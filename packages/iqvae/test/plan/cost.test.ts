import { metaBytes, scope } from "@iqvae/torch";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { conditionFor } from "../../src/conditions/index.ts";
import { type Config, type ConfigInput, loadConfig, PRESET_NAMES, parseConfig } from "../../src/config/index.ts";
import { conditionSpec } from "../../src/data/index.ts";
import { Discriminator } from "../../src/models/discriminator.ts";
import { IqVae } from "../../src/models/iqvae.ts";
import { Transformer } from "../../src/models/transformer.ts";
import { type StepCost, stage1Cost, stage2Cost } from "../../src/plan/cost.ts";
import { H100, plan } from "../../src/plan/plan.ts";
import { transformerConfig } from "../../src/stage2/config.ts";

const tiny = loadConfig("tiny");

function changed(changes: { stage1?: object; stage2?: object; precision?: Config["precision"] }, base = tiny): Config {
  const merged = {
    ...base,
    stage1: { ...base.stage1, ...changes.stage1 },
    stage2: { ...base.stage2, ...changes.stage2 },
    precision: changes.precision ?? base.precision,
  };
  return parseConfig(merged as ConfigInput, "test");
}

const teacher = { exposure: { kind: "teacher" } };
const plain = changed({ stage1: { regularizer: { estimator: "none" } }, stage2: teacher });

test.each(PRESET_NAMES)("%s can be planned", (name) => {
  const config = loadConfig(name);
  for (const { parameters, operations, lastingBytes, peakBytes } of [stage1Cost(config), stage2Cost(config)]) {
    expect(operations).toBeGreaterThan(6 * parameters);
    expect(lastingBytes).toBeGreaterThanOrEqual(12 * parameters);
    expect(peakBytes).toBeGreaterThan(lastingBytes + 4 * parameters);
  }
});

test("the paper's scale is planned without its memory", () => {
  const config = loadConfig("paper-ade20k");
  const before = process.memoryUsage.rss();
  expect(stage2Cost(config)).toMatchObject({ parameters: 305_980_416, lastingBytes: 16 * 305_980_416 });
  expect(process.memoryUsage.rss() - before).toBeLessThan(150e6); // its weights alone are 1.2 GB
});

describe("stage 1", () => {
  const adversarial = { channels: 16, layers: 2 };

  test("has the parameters of its networks, and holds weights and two moments of each", () => {
    scope(() => {
      const { model } = plain.stage1;
      const iqvae = new IqVae(model, conditionFor(conditionSpec(plain.data), plain.data.size));
      const judge = new Discriminator(adversarial);
      const { parameters, lastingBytes } = stage1Cost(plain);
      expect(parameters).toBe(iqvae.parameterCount());
      const buffers = [...iqvae.stateDict().values()].reduce((sum, each) => sum + each.numel(), 0) - parameters;
      expect(lastingBytes).toBe(12 * parameters + 4 * buffers);
      expect(stage1Cost(changed({ stage1: { adversarial } }, plain)).parameters).toBe(
        parameters + judge.parameterCount(),
      );
    });
  });

  test("costs in proportion to its batch, but for what is there all the time", () => {
    const [small, middle, large] = [16, 32, 64].map((batch) => stage1Cost(changed({ stage1: { batch } }, plain))) as [
      StepCost,
      StepCost,
      StepCost,
    ];
    expect(middle.operations).toBe(2 * small.operations);
    expect(middle.lastingBytes).toBe(small.lastingBytes);
    const ratio = (large.peakBytes - middle.peakBytes) / (middle.peakBytes - small.peakBytes);
    expect(ratio).toBeCloseTo(2, 1);
  });

  test.each([
    ["the discriminator", { adversarial }],
    ["the perceptual network", { perceptual: { network: { kind: "attributes" } } }],
    ["the perceptual network of HED", { perceptual: { network: { kind: "hed-vgg16" } } }],
    ["the paired regularizer", { regularizer: { estimator: "paired" } }],
    ["the sliced regularizer", { regularizer: { estimator: "sliced" } }],
    ["pairs within images", { regularizer: { estimator: "paired", pairs: "image" } }],
    ["the control of colors", { regularizer: { estimator: "colors" } }],
    ["the predictor of features", { regularizer: { estimator: "prediction" } }],
    ["the entropic regularizer", { regularizer: { estimator: "entropic", samples: 32 } }],
  ])("counts %s", (_, stage1) => {
    const [without, with_] = [stage1Cost(plain), stage1Cost(changed({ stage1 }, plain))];
    expect(with_.operations).toBeGreaterThan(without.operations);
    expect(with_.peakBytes).toBeGreaterThanOrEqual(without.peakBytes);
  });
});

describe("stage 2", () => {
  const cost = (stage2: object) => stage2Cost(changed({ stage2 }, plain));
  const once = cost({});

  test("has the parameters of its network, and holds weights, two moments and an average of each", () => {
    scope(() => {
      const iqvae = new IqVae(plain.stage1.model, conditionFor(conditionSpec(plain.data), plain.data.size));
      const network = new Transformer(transformerConfig(plain.stage2), iqvae.tokenShape(plain.data.size));
      expect(once.parameters).toBe(network.parameterCount());
      expect(once.lastingBytes).toBe(16 * once.parameters);
    });
  });

  test("passes cost operations, and no memory", () => {
    const thrice = cost({ accumulate: 3 });
    expect(thrice.operations).toBe(3 * once.operations);
    expect(thrice.peakBytes).toBeLessThan(1.1 * once.peakBytes);
  });

  test("counts second passes as a mean over steps, and their memory whole", () => {
    const { batch, model } = plain.stage2;
    const { codes, multipliers, patch } = plain.stage1.model.image;
    const tokens = (plain.data.size / patch / 2 ** (multipliers.length - 1)) ** 2;
    const embedding = 2 * batch * (tokens - 1) * codes * model.width;
    const gumbel = cost({ exposure: { kind: "gumbel", gradient: true } });
    expect(gumbel.operations).toBeCloseTo(once.operations + (once.operations + 3 * embedding) / 4, -2);
    expect(gumbel.peakBytes).toBeGreaterThan(once.peakBytes);
    const detached = cost({ exposure: { kind: "gumbel" } });
    expect(detached.operations).toBeLessThan(gumbel.operations);
    expect(cost({ exposure: { kind: "random" } }).operations).toBe(once.operations);
    expect(cost({ exposure: { kind: "near" } }).operations).toBe(once.operations);
  });
});

test("products in bfloat16 take less memory, and as many operations", () => {
  const start = loadConfig("start");
  for (const stageCost of [stage1Cost, stage2Cost]) {
    const [wide, narrow] = (["float32", "bfloat16"] as const).map((precision) =>
      stageCost(changed({ precision }, start)),
    );
    expect(narrow!.operations).toBe(wide!.operations);
    expect(narrow!.peakBytes - narrow!.lastingBytes).toBeLessThan(0.8 * (wide!.peakBytes - wide!.lastingBytes));
  }
});

test("a batch that nothing could train with is named, and its bytes are not made", () => {
  const before = process.memoryUsage.rss();
  for (const batch of [1e9, 400_000])
    expect(() => stage1Cost(changed({ stage1: { batch } }))).toThrow(
      `stage1.batch is ${batch}, but at most 262144 rows of 4096 bytes can be planned.`,
    );
  expect(() => stage2Cost(changed({ stage2: { batch: 1e5, accumulate: 1e5 } }))).toThrow(
    "stage2.batch × stage2.accumulate is 10000000000, but at most 16777216 rows of 64 bytes can be planned.",
  );
  expect(process.memoryUsage.rss() - before).toBeLessThan(150e6);
});

test("nothing stays on the meta device", () => {
  const before = metaBytes();
  stage1Cost(tiny);
  stage2Cost(tiny);
  expect(metaBytes() - before).toBeLessThan(1e5);
});

describe("a plan", () => {
  test("takes operations over the share of the peak on an H100", () => {
    const made = plan(tiny, { measure: false, utilization: 0.5 });
    expect(made.stage1.h100).toBe(stage1Cost(tiny).operations / (0.5 * H100));
    expect(made.stage1.here).toBeUndefined();
    expect(made.unmeasured).toBeUndefined();
  });

  test("is timed here", () => {
    // A clock four times as fast: steps are repeated for a second of it.
    const now = performance.now.bind(performance);
    const clock = vi.spyOn(performance, "now").mockImplementation(() => 4 * now());
    onTestFinished(() => clock.mockRestore());
    const { stage1, stage2 } = plan(tiny, { measure: true, utilization: 0.4 });
    for (const { here } of [stage1, stage2]) {
      expect(here).toBeGreaterThan(1e-5);
      expect(here).toBeLessThan(60);
    }
  });
});
