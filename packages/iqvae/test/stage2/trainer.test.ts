import { createHash } from "node:crypto";
import { getRngState, liveTensors, manualSeed, scope, setRngState, type Tensor, tensor, unscoped } from "@iqvae/torch";
import { describe, expect, test, vi } from "vitest";
import { cachedSampler } from "../../src/sampling/sampler.ts";
import { type Exposure, exposureSchema, type GumbelExposure, type Stage2Config } from "../../src/stage2/config.ts";
import { TokenPairs } from "../../src/stage2/token-pairs.ts";
import { Stage2Trainer } from "../../src/stage2/trainer.ts";
import type { Precision } from "../../src/support/precision.ts";
import { RunningMeans } from "../../src/support/running-means.ts";

const SHAPE = { conditionCodes: 12, imageCodes: 12, conditionTokens: 6, imageTokens: 6 };
const CONFIG: Stage2Config = {
  model: { layers: 2, width: 64, heads: 4, dropout: 0.1 },
  steps: 300,
  pairs: null,
  handDrawn: 0,
  batch: 32,
  accumulate: 1,
  rate: 3e-3,
  warmup: 20,
  weightDecay: 0.05,
  emaDecay: 0.98,
  conditionDropout: 0,
  exposure: { kind: "teacher" },
};
const SCHEDULED = { kind: "scheduled", every: 4, maxShare: 0.25, rampShare: 0.2 } as const;
const GUMBEL: GumbelExposure = {
  ...(exposureSchema.parse({ kind: "gumbel", gradient: true }) as GumbelExposure),
  rampShare: 0.2,
};

/** Reproducible whole numbers below `below`. */
function numbersFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Images that are their condition, read backward. */
function mirrored(count: number, seed: number): TokenPairs {
  const random = numbersFrom(seed);
  const conditions = Uint16Array.from({ length: count * 6 }, () => random(12));
  const images = conditions.map((_, i) => conditions[i - (i % 6) + (5 - (i % 6))]!);
  return new TokenPairs(SHAPE, conditions, images);
}

type Changes = Partial<Stage2Config> & { readonly precision?: Precision };

function trainer(
  { precision = "float32", ...changes }: Changes = {},
  seed = 1,
  validation = mirrored(50, 2),
): Stage2Trainer {
  manualSeed(seed);
  const config = { ...CONFIG, ...changes };
  // Codes on a circle: each has two neighbors.
  const angle = (k: number) => (2 * Math.PI * k) / 12;
  const codebook = tensor(Array.from({ length: 12 }, (_, k) => [Math.cos(angle(k)), Math.sin(angle(k))]));
  return new Stage2Trainer({ config, precision, train: mirrored(512, 1), validation, codebook });
}

const rows = (step: number, size = 32): Uint32Array => {
  const random = numbersFrom(step + 1);
  return Uint32Array.from({ length: size }, () => random(512));
};

function run(subject: Stage2Trainer, from: number, to: number): void {
  for (let step = from; step < to; step++) scope(() => subject.step(rows(step)));
}

const bitsOf = (tensors: Map<string, Tensor>): Map<string, string> =>
  new Map(
    [...tensors].map(([name, x]) => [name, createHash("sha256").update(x.detach().toTypedArray()).digest("hex")]),
  );

test.each([33, 70])("the held-out loss of %i images is the mean over images computed one by one", (count) => {
  const all = mirrored(count, 3);
  const subject = trainer({}, 1, all);
  run(subject, 0, 20);
  const { nll } = subject.evaluate();
  const alone = subject.withAverages(() =>
    Array.from({ length: count }, (_, row) =>
      scope(() => {
        const { conditions, images } = all.batch([row]);
        const logits = subject.model.forward(conditions, images.slice(1, 0, 5)).log_softmax(-1);
        return -logits.gather(-1, images.unsqueeze(-1)).mean().item();
      }),
    ),
  );
  expect(nll).toBeCloseTo(alone.reduce((sum, value) => sum + value, 0) / count, 5);
});

describe.each([
  ["true tokens, float32", {}],
  ["true tokens, bfloat16", { precision: "bfloat16" }],
  ["Gumbel samples", { exposure: GUMBEL, precision: "bfloat16" }],
  ["Gumbel samples without gradient", { exposure: { ...GUMBEL, gradient: false }, precision: "bfloat16" }],
  ["random replacement", { exposure: { kind: "random", share: 0.1 }, precision: "bfloat16" }],
  ["hard samples", { exposure: SCHEDULED, precision: "bfloat16" }],
  ["near codes", { exposure: { kind: "near", share: 0.2, temperature: 0.2 }, precision: "bfloat16" }],
  ["noisy context", { exposure: { kind: "noise", maxShare: 0.5 }, precision: "bfloat16" }],
] as const)("%s", (_, over) => {
  test("learns to read the condition backward, and its samples do", () => {
    const subject = trainer(over);
    const before = subject.evaluate();
    expect(before.nll).toBeCloseTo(Math.log(12), 0);
    expect(before.bits).toBeCloseTo(before.nll! / Math.LN2, 10);
    run(subject, 0, 300);
    expect(subject.evaluate().nll).toBeLessThan(0.05);
    scope(() => {
      const { conditions, images } = mirrored(50, 2).batch(Array.from({ length: 50 }, (_, i) => i));
      const drawn = subject.withAverages(() => cachedSampler(subject.model).sample(conditions).flatten(1));
      expect(drawn.eq(images).to("float32").mean().item()).toBeGreaterThan(0.97);
    });
  });

  test("goes on bit for bit from what it gave", () => {
    const whole = trainer(over);
    run(whole, 0, 8);
    const first = trainer(over);
    run(first, 0, 5);
    const kept = new Map([...first.tensors()].map(([name, x]) => [name, unscoped(() => x.detach().clone())]));
    const state = JSON.parse(JSON.stringify(first.state())) as Record<string, unknown>;
    const random = getRngState();
    const second = trainer(over, 99);
    second.restore(kept, state);
    setRngState(random);
    run(second, 5, 8);
    expect(bitsOf(second.tensors())).toEqual(bitsOf(whole.tensors()));
    expect(second.state()).toEqual(whole.state());
    expect(second.evaluate()).toEqual(whole.evaluate());
  });
});

test("a batch in parts makes the step of the whole batch", () => {
  const step = (batch: number): Map<string, Tensor> => {
    // Dropout would differ by part.
    const subject = trainer({ batch, model: { layers: 1, width: 16, heads: 2, dropout: 0 } }, 7);
    scope(() => subject.step(rows(0, 30)));
    return subject.tensors();
  };
  const [whole, parts] = [step(30), step(8)]; // 8 + 8 + 8 + 6
  scope(() => {
    for (const [name, x] of whole) {
      if (!name.endsWith(".first")) continue; // Adam's first moment after one step: a tenth of the clipped gradient
      const scale = x.abs().max().item();
      expect(x.sub(parts.get(name)!).abs().max().item(), name).toBeLessThan(1e-4 * scale + 1e-9);
    }
  });
});

test.each([
  [0.1, [0.1, 0.1]],
  // Early on more slowly than these would be to lag behind.
  [0.999, [2 / 11, 3 / 12]],
])("matrices decay, and the averages follow, at the rates that are configured: %d", (emaDecay, followed) => {
  const weightDecay = 10;
  // Hardly anything is left out, so that the embedding of the absent condition has no gradient: it only decays.
  const subject = trainer({ weightDecay, emaDecay, warmup: 1, conditionDropout: 1e-12 });
  scope(() => {
    const absent = (kind: string) =>
      subject.tensors().get(`${kind}.conditionEmbedding.weight`)!.detach().select(0, SHAPE.conditionCodes);
    const before = absent("model").clone();
    let [weight, average] = [1, 1];
    for (const [step, share] of followed.entries()) {
      const { rate = 0 } = subject.step(rows(step));
      expect(rate * weightDecay).toBeGreaterThan(0.02);
      weight *= 1 - rate * weightDecay;
      average = share * average + (1 - share) * weight;
      const found = ([absent("model"), absent("ema")] as const).map((after) => after.div(before));
      [weight, average].forEach((expected, i) => {
        expect(found[i]!.sub(expected).abs().max().item()).toBeLessThan(1e-4);
      });
    }
  });
});

test("looking at held-out data changes nothing", () => {
  const subject = trainer();
  run(subject, 0, 3);
  const before = bitsOf(subject.tensors());
  subject.evaluate();
  expect(bitsOf(subject.tensors())).toEqual(before);
});

test("the mean over the held-out rows does not depend on how they are cut", () => {
  const nll = (batch: number): number => {
    const subject = trainer({ batch });
    return subject.evaluate().nll!;
  };
  expect(nll(7)).toBeCloseTo(nll(50), 5);
});

test("steps leave no tensors behind, with samples and without", () => {
  const subject = trainer({ exposure: { ...GUMBEL, every: 2 } });
  run(subject, 0, 4);
  subject.evaluate();
  const before = liveTensors();
  run(subject, 4, 10);
  subject.evaluate();
  expect(liveTensors()).toBe(before);
});

test("Gumbel samples change the steps that they are mixed into, no others", () => {
  const after = (steps: number, exposure: Exposure): Map<string, string> => {
    const subject = trainer({ exposure });
    run(subject, 0, steps);
    return bitsOf(subject.tensors());
  };
  const early: Exposure = { ...GUMBEL, rampShare: 0.001 };
  expect(after(3, early)).toEqual(after(3, { kind: "teacher" }));
  expect(after(4, early)).not.toEqual(after(4, { kind: "teacher" }));
});

test("running means are read at once on the CPU, and at first and then every tenth time on a GPU", () => {
  const read = (device: string) =>
    scope(() => {
      const means = new RunningMeans(device);
      return Array.from({ length: 12 }, (_, i) => means.add({ x: tensor(i) }).x);
    });
  expect(read("cpu")).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  expect(read("cuda:0")).toEqual([...Array(10).fill(0), 5.5, 5.5]);
});

test("some of the pairs stay pairs, in the order given", () => {
  const all = mirrored(9, 4);
  const some = all.subset([7, 0, 3]);
  expect(some.count).toBe(3);
  scope(() => {
    const [few, many] = [some.batch([0, 1, 2]), all.batch([7, 0, 3])];
    expect(few.conditions.equal(many.conditions)).toBe(true);
    expect(few.images.equal(many.images)).toBe(true);
  });
  expect(() => all.subset([0, 9])).toThrow("TokenPairs.subset was asked for row 9, but has rows 0 to 8");
});

describe("refuses", () => {
  const six = new Uint16Array(6);

  test("tokens that do not fill whole rows, unequal rows, and codes that do not exist", () => {
    expect(() => new TokenPairs(SHAPE, six, new Uint16Array(7))).toThrow(
      "TokenPairs got 7 image tokens, which do not fill whole rows of 6",
    );
    expect(() => new TokenPairs(SHAPE, six, new Uint16Array(12))).toThrow(
      "TokenPairs got 1 rows of condition tokens and 2 of image tokens; there must be one of each for every pair",
    );
    expect(() => new TokenPairs(SHAPE, six, Uint16Array.of(0, 1, 2, 12, 4, 5))).toThrow(
      "TokenPairs: image token 12 in row 0 lies outside the codebook of 12 codes; were the tokens made by another stage-1 model? Encode the data again",
    );
    expect(() => new TokenPairs(SHAPE, Int32Array.of(0, 0, 0, -1, 0, 0), six)).toThrow("condition token -1 in row 0");
  });

  test("rows that do not exist", () => {
    expect(() => mirrored(4, 1).batch([0, 4])).toThrow("TokenPairs.batch was asked for row 4, but has rows 0 to 3");
  });

  test("tokens of another model, an empty split, an empty batch, a state without a step", () => {
    const make = (train: TokenPairs, validation: TokenPairs) => () =>
      new Stage2Trainer({ config: CONFIG, precision: "float32", train, validation });
    const other = new TokenPairs({ ...SHAPE, imageCodes: 99 }, six, six);
    expect(make(mirrored(2, 1), other)).toThrow(
      "Stage2Trainer: the validation tokens have imageCodes 99, but the transformer is made for 12; encode the data with the stage-1 model of this run",
    );
    expect(make(mirrored(0, 1), mirrored(2, 1))).toThrow("Stage2Trainer: the train split is empty");
    const subject = make(mirrored(2, 1), mirrored(2, 1))();
    expect(() => subject.step(new Uint32Array())).toThrow("Stage2Trainer.step got an empty batch");
    expect(() => subject.restore(subject.tensors(), { step: "3" })).toThrow(
      `Stage2Trainer.restore needs a state with a whole 'step', but got {"step":"3"}`,
    );
  });
});

describe("leaving conditions out", () => {
  const leavingOut = (conditionDropout: number): Stage2Trainer =>
    trainer({ conditionDropout, model: { ...CONFIG.model, dropout: 0 } });
  /** How far training moved the embedding of the absent condition; decay alone moves it a little. */
  const moved = (subject: Stage2Trainer): number =>
    scope(() => {
      const absent = () => subject.model.conditionEmbedding.weight.detach().select(0, SHAPE.conditionCodes).clone();
      const before = absent();
      run(subject, 0, 3);
      return absent().sub(before).abs().amax().item();
    });

  test("teaches the embedding of the absent condition; without it there is none", () => {
    expect(moved(leavingOut(0.5))).toBeGreaterThan(1e-4);
    expect(leavingOut(0).model.absent).toBeUndefined();
  });

  test.each([0.1, 0.8])("leaves out all of a condition or nothing of it, in a share of %s", (share) => {
    const subject = leavingOut(share);
    const { model } = subject;
    const forward = model.forward.bind(model);
    const left: number[] = [];
    vi.spyOn(model, "forward").mockImplementation((conditions, ...others) => {
      left.push(...Array.from(conditions.eq(SHAPE.conditionCodes).sum([1]).read("int64"), Number));
      return forward(conditions, ...others);
    });
    run(subject, 0, 4);
    expect(new Set(left)).toEqual(new Set([0, SHAPE.conditionTokens]));
    const found = left.filter((count) => count > 0).length / left.length;
    expect(Math.abs(found - share)).toBeLessThan(0.12); // the standard error is at most 0.035
  });

  test("draws no random number where none is left out, so that such trainings stay as they were", () => {
    const after = (conditionDropout: number): Uint8Array => {
      const subject = leavingOut(conditionDropout);
      manualSeed(3);
      run(subject, 0, 1);
      return getRngState();
    };
    manualSeed(3);
    const before = getRngState();
    expect(after(0)).toEqual(before);
    expect(after(0.1)).not.toEqual(after(0));
  });
});

test("near codes need a codebook, and their trainer says so", () => {
  const config = { ...CONFIG, exposure: { kind: "near", share: 0.2, temperature: 0.05 } } as const;
  const [train, validation] = [mirrored(64, 1), mirrored(8, 2)];
  expect(() => new Stage2Trainer({ config, precision: "float32", train, validation })).toThrow(/'near'.*codebook/);
});
