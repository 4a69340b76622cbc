import { getRngState, manualSeed, noGrad, scope, setRngState, type Tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import type { PairDataset, PairSplit } from "../../src/data/index.ts";
import { regularizerSchema } from "../../src/regularizer/index.ts";
import { type Stage1Config, stage1Schema } from "../../src/stage1/config.ts";
import { Stage1Trainer } from "../../src/stage1/trainer.ts";
import type { Precision } from "../../src/support/precision.ts";

const SIZE = 32;

/** Squares of eight colors at random places; the map says where, not which color. */
function squares(count: number, seed: number): PairSplit {
  let state = seed;
  const random = (below: number): number => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
  const images = new Uint8Array(count * SIZE * SIZE * 3);
  const conditions = new Uint8Array(count * SIZE * SIZE);
  for (let i = 0; i < count; i++) {
    const [left, top, side, color] = [random(16), random(16), 8 + random(8), random(8)];
    for (let y = top; y < top + side; y++)
      for (let x = left; x < left + side; x++) {
        const at = (i * SIZE + y) * SIZE + x;
        conditions[at] = 1;
        images.set([color & 1 ? 255 : 40, color & 2 ? 255 : 40, color & 4 ? 255 : 40], at * 3);
      }
  }
  const pick = (all: Uint8Array, indices: ArrayLike<number>, each: number): Uint8Array => {
    const out = new Uint8Array(indices.length * each);
    for (const [i, index] of Array.from(indices).entries())
      out.set(all.subarray(index * each, (index + 1) * each), i * each);
    return out;
  };
  return {
    length: count,
    ids: Array.from({ length: count }, (_, i) => String(i)),
    batch: (indices) => ({
      images: pick(images, indices, SIZE * SIZE * 3),
      conditions: pick(conditions, indices, SIZE * SIZE),
    }),
  };
}

const data: PairDataset = {
  name: "squares",
  key: "squares",
  size: SIZE,
  condition: {
    kind: "semantic",
    classes: [
      { name: "ground", color: [0, 0, 0] },
      { name: "square", color: [255, 255, 255] },
    ],
  },
  train: squares(256, 1),
  validation: squares(64, 2),
  licenses: [],
  close() {},
};

type Changes = Partial<Stage1Config> & {
  readonly precision?: Precision;
  readonly distance?: (a: Tensor, b: Tensor) => Tensor;
};

/** Patches of 2 pixels show the edges of squares; those of 4 take a quarter of the time, for what does not depend on it. */
function modelOf(patch: 2 | 4): Stage1Config["model"] {
  const half = { channels: 16, multipliers: [1, 2], blocks: 1, patch, codes: 32, codeDim: 8 };
  return { image: half, condition: { ...half, codes: 16 }, coupled: false };
}

function trainer({ precision = "float32", distance, ...changes }: Changes = {}, dataset = data): Stage1Trainer {
  manualSeed(5);
  const config: Stage1Config = {
    model: modelOf(4),
    steps: 300,
    batch: 16,
    rate: 3e-3,
    warmup: 10,
    regularizer: { estimator: "none" },
    perceptual: null,
    adversarial: null,
    polishFrom: 1,
    ...changes,
  };
  return new Stage1Trainer({ config, precision, dataset, distance });
}

const regularizer = (input: unknown) => regularizerSchema.parse(input);

const rows = (step: number): Uint32Array => Uint32Array.from({ length: 16 }, (_, i) => (step * 16 + i * 7) % 256);
const run = (trained: Stage1Trainer, from: number, to: number): void => {
  for (let step = from; step < to; step++) scope(() => trained.step(rows(step)));
};
const bits = (tensors: ReadonlyMap<string, Tensor>): Map<string, string> =>
  new Map([...tensors].map(([name, value]) => [name, Buffer.from(value.toTypedArray().buffer).toString("base64")]));

test("learns to draw squares, with codebooks that are in use", () => {
  const trained = trainer({ model: modelOf(2), steps: 200 });
  const before = trained.evaluate();
  run(trained, 0, 200);
  const after = trained.evaluate();
  expect(after.imageMse!).toBeLessThan(before.imageMse! / 10);
  expect(after.conditionAccuracy!).toBeGreaterThan(0.98);
  expect(after.imageActive!).toBeGreaterThan(0.8);
  expect(after.imagePerplexity!).toBeGreaterThan(8);
});

test("a coupled decoder has from the condition what the image's codes do not say", () => {
  // White squares: two codes cannot say where in a cell of eight pixels an edge is.
  const white = (split: PairSplit): PairSplit => ({
    ...split,
    batch: (indices) => {
      const { conditions } = split.batch(indices);
      return {
        conditions,
        images: Uint8Array.from({ length: 3 * conditions.length }, (_, i) => 255 * conditions[Math.floor(i / 3)]!),
      };
    },
  });
  const dataset = { ...data, train: white(data.train), validation: white(data.validation) };
  const { image, condition } = modelOf(4);
  const [alone, coupled] = [false, true].map((coupled) => {
    const trained = trainer({ model: { image: { ...image, codes: 2 }, condition, coupled }, steps: 120 }, dataset);
    run(trained, 0, 120);
    return trained.evaluate();
  });
  expect(coupled!.imageMse!).toBeLessThan(0.6 * alone!.imageMse!);
});

const adversarial = { weight: 0.8, startShare: 0.1, rate: 1e-3, channels: 8, layers: 2 };
const perceptual = (weight: number) => ({ weight, network: { kind: "attributes", set: null } as const });

const SLICED = { estimator: "sliced", samples: 256, directions: 16 };
test.each<[string, Changes]>([
  ["alone", { regularizer: regularizer(SLICED) }],
  ["with a discriminator", { regularizer: regularizer(SLICED), adversarial }],
  ["with a predictor of features", { regularizer: regularizer({ estimator: "prediction" }) }],
  ["while only decoders learn", { regularizer: regularizer(SLICED), steps: 60, polishFrom: 0.5 }],
])("%s, it goes on from tensors and state as if it had not stopped, to the bit", (_, changes) => {
  const over: Changes = { precision: "bfloat16", ...changes };
  const whole = trainer(over);
  run(whole, 0, 32);
  const saved = noGrad(() => new Map([...whole.tensors()].map(([name, value]) => [name, value.detach().clone()])));
  const state = JSON.parse(JSON.stringify(whole.state())) as Record<string, unknown>;
  const random = getRngState();
  run(whole, 32, 36);
  const resumed = trainer(over);
  run(resumed, 0, 3); // whatever it did before is gone
  resumed.restore(saved, state);
  setRngState(random);
  run(resumed, 32, 36);
  expect(bits(resumed.tensors())).toEqual(bits(whole.tensors()));
});

test.each([
  [80, 10],
  [4000, 200],
])("of %i steps, codes are placed after %i", (steps, after) => {
  const trained = trainer({ steps });
  for (const [done, mode] of [
    [after - 1, 0],
    [after, 1],
  ] as const) {
    trained.restore(trained.tensors(), { steps: done });
    scope(() => trained.step(rows(0)));
    expect(trained.model.image.quantizer.placed.item()).toBe(mode);
  }
});

test("steps that are added take nothing back: codes stay placed, and the discriminator goes on", () => {
  const planned = (steps: number) => trainer({ steps, adversarial: { ...adversarial, startShare: 0.5 } });
  const short = planned(16);
  run(short, 0, 16);
  const longer = planned(400);
  longer.restore(short.tensors(), short.state());
  const metrics = scope(() => longer.step(rows(16)));
  expect(metrics.imageCommitment).toBeGreaterThan(0);
  expect(metrics.conditionCommitment).toBeGreaterThan(0);
  expect(metrics.discriminatorLoss).toBeGreaterThan(0);
});

describe("the terms of the image", () => {
  test("the discriminator is silent before its share of the steps, and heard after it", () => {
    const trained = trainer({ steps: 20, adversarial: { ...adversarial, startShare: 0.5 } });
    const plain = trainer({ steps: 20 });
    const random = getRngState();
    for (let step = 0; step < 12; step++) {
      setRngState(random); // both draw the same; the discriminator's weights took random numbers of their own
      const metrics = scope(() => trained.step(rows(step)));
      setRngState(random);
      const other = scope(() => plain.step(rows(step)));
      expect("discriminatorLoss" in metrics, `step ${step}`).toBe(step >= 10);
      if (step < 10) expect(metrics).toEqual(other);
      if (step > 10) expect(metrics.imageLoss).not.toBe(other.imageLoss);
      if (step >= 10) expect(metrics.adversarialWeight).toBeGreaterThan(0);
    }
  });

  test("the discriminator learns at the share of its rate that the schedule has", () => {
    const warmup = 10;
    const trained = trainer({ warmup, adversarial: { ...adversarial, startShare: 0 } });
    const weight = [...trained.tensors()].find(([name]) => name.endsWith("discriminator.stem.weight"))![1];
    const before = scope(() => [...weight.detach().contiguous().read("float32")]);
    run(trained, 0, 1);
    const after = scope(() => [...weight.detach().contiguous().read("float32")]);
    // Adam's first step is the rate itself, wherever the gradient is not tiny.
    const moved = Math.max(...after.map((value, i) => Math.abs(value - before[i]!)));
    expect(moved / (adversarial.rate / warmup)).toBeCloseTo(1, 2);
  });

  test("the adversary is weighed against all that the reconstruction costs, the perceptual term included", () => {
    const distance = (a: Tensor) => a.square().mean();
    const weights = [0, 100].map((weight) => {
      const trained = trainer({
        perceptual: perceptual(weight),
        distance,
        adversarial: { ...adversarial, startShare: 0 },
      });
      return scope(() => trained.step(rows(0))).adversarialWeight!;
    });
    expect(weights[1]! / weights[0]!).toBeGreaterThan(3);
  });

  test("a perceptual term is weighed, logged and learned from", () => {
    // A stand-in for a network that wants gray, which ℓ1 does not.
    const distance = (a: Tensor) => a.square().mean();
    const [without, within] = [0, 10].map((weight) => {
      const trained = trainer({ steps: 60, perceptual: perceptual(weight), distance });
      run(trained, 0, 60);
      return trained.evaluate();
    });
    expect(within!.perceptualLoss!).toBeLessThan(without!.perceptualLoss! / 10);
    const parts = within!.imageLoss! + 10 * within!.perceptualLoss! + within!.conditionLoss!;
    const commitment = 0.25 * (within!.imageCommitment! + within!.conditionCommitment!);
    expect(within!.loss!).toBeCloseTo(parts + commitment, 4);
  });
});

describe("held-out figures", () => {
  let validation = data.validation;
  const dataset = Object.defineProperty({ ...data }, "validation", { get: () => validation });
  const half = { channels: 8, multipliers: [1], blocks: 1, patch: 4 as const, codes: 16, codeDim: 4 };
  const untrained = trainer({ model: { image: half, condition: half, coupled: false } }, dataset);

  test.each([
    [65, 65],
    [600, 512],
  ])("of %i pairs are means over %i of them, spread over all", (length, count) => {
    const all = squares(length, 3);
    const read: number[] = [];
    const figuresOf = (batch: PairSplit["batch"], length: number) => {
      validation = { length, ids: [], batch };
      return untrained.evaluate();
    };
    const figures = figuresOf((rows) => {
      read.push(...Array.from(rows));
      return all.batch(rows);
    }, length);
    expect(read).toEqual(Array.from({ length: count }, (_, i) => Math.floor((i * length) / count)));
    const alone = read.map((row) => figuresOf(() => all.batch([row]), 1));
    for (const name of ["loss", "imageLoss", "conditionLoss", "imageCommitment", "imageMse", "conditionAccuracy"]) {
      const mean = alone.reduce((sum, one) => sum + one[name]!, 0) / count;
      expect(figures[name]!, name).toBeCloseTo(mean, 5);
    }
  });
});

describe("the regularizer", () => {
  test.each([
    { estimator: "sliced", samples: 64 },
    { estimator: "paired", samples: 64 },
    { estimator: "paired", pairs: "image" },
    { estimator: "entropic", samples: 32 },
    { estimator: "colors" },
    { estimator: "colors", pairs: "image" },
    { estimator: "prediction" },
  ])("$estimator, pairs $pairs: the more it weighs, the smaller it is", (config) => {
    const [free, held] = [0, 3].map((weight) => {
      const trained = trainer({ steps: 15, regularizer: regularizer({ ...config, weight }) });
      run(trained, 0, 15);
      return trained.evaluate().regularizer!;
    });
    expect(held!).toBeLessThan(free! * 0.8);
  });

  test("colors and prediction move the image's encoder, and nothing of the condition", () => {
    for (const estimator of ["colors", "prediction"]) {
      const state = (weight: number) => {
        const trained = trainer({ regularizer: regularizer({ estimator, weight }) });
        const parameters = [...trained.model.namedParameters()];
        scope(() => trained.step(rows(0)));
        const touched = parameters.map(([name, parameter]) => [name, parameter.grad!.clone()] as const);
        return new Map(touched);
      };
      const [without, within] = [state(0), state(1)];
      const moved = [...within].filter(([name, gradient]) => !gradient.equal(without.get(name)!)).map(([name]) => name);
      expect(moved.length).toBeGreaterThan(0);
      expect(moved.every((name) => /^image\.(encoder|quantizer\.down)/.test(name))).toBe(true);
    }
  });

  test("prediction and colors do not need one grid", () => {
    const half = { channels: 8, multipliers: [1], blocks: 1, codes: 16, codeDim: 4 };
    const model = { image: { ...half, patch: 4 as const }, condition: { ...half, patch: 2 as const }, coupled: false };
    for (const estimator of ["prediction", "colors"]) {
      const trained = trainer({ model, regularizer: regularizer({ estimator }) });
      expect(scope(() => trained.step(rows(0))).regularizer).toBeGreaterThan(0);
    }
  });
});

describe("polishing", () => {
  const STEPS = 80;
  test("leaves tokens as they are from its share of the steps on, and still improves the decoder", () => {
    const trained = trainer({ steps: STEPS, polishFrom: 0.5, regularizer: regularizer({ estimator: "paired" }) });
    run(trained, 0, STEPS / 2);
    const before = bits(trained.tensors());
    const { imageLoss } = trained.evaluate();
    run(trained, STEPS / 2, STEPS);
    const changed = [...bits(trained.tensors())].filter(([name, value]) => value !== before.get(name));
    const names = changed.map(([name]) => name).filter((name) => name.startsWith("model."));
    expect(new Set(names.map((name) => name.split(".").slice(1, 3).join(".")))).toEqual(
      new Set(["image.decoder", "image.quantizer", "condition.decoder", "condition.quantizer"]),
    );
    // Of the quantizer only the way back to the decoder's features.
    expect(new Set(names.filter((name) => name.includes("quantizer")).map((name) => name.split(".")[3]))).toEqual(
      new Set(["up"]),
    );
    expect(trained.evaluate().imageLoss!).toBeLessThan(imageLoss!);
  });

  test("is off unless asked for, and then not before the codes are placed and have followed their features", () => {
    expect(stage1Schema.shape.polishFrom.parse(undefined)).toBe(1);
    expect(() => stage1Schema.shape.polishFrom.parse(0.1)).toThrow(/0.25/);
    const trained = trainer({ steps: 2, polishFrom: 0.25 });
    run(trained, 0, 1);
    expect(trained.model.image.quantizer.placed.item()).toBe(1);
  });
});
