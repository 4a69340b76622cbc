import { autocast, grad, manualSeed, noGrad, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { Transformer } from "../../src/models/transformer.ts";
import { type Exposure, exposureSchema, type GumbelExposure } from "../../src/stage2/config.ts";
import { type ExposureInput, exposedLogits, isDue } from "../../src/stage2/exposure.ts";
import {
  nearCodes,
  noiseRates,
  replaceNearby,
  replaceRandomly,
  replaceTokens,
  sampleTokens,
} from "../../src/stage2/exposure-controls.ts";
import { mixSamples } from "../../src/stage2/gumbel.ts";

const GUMBEL_DEFAULTS = exposureSchema.parse({ kind: "gumbel" }) as GumbelExposure;

const SHAPE = { conditionCodes: 5, imageCodes: 12, conditionTokens: 3, imageTokens: 9 };
const [B, n] = [4, 8];

/** Every kind at its strongest: on every step, tokens replaced as often as can be. */
const ALWAYS = { every: 1, maxShare: 1, rampShare: 0.001 };
const EXPOSURES: Record<string, Exposure> = {
  teacher: { kind: "teacher" },
  gumbel: { ...GUMBEL_DEFAULTS, ...ALWAYS, reliabilityPower: 0, gradient: true },
  "gumbel without gradient": { ...GUMBEL_DEFAULTS, ...ALWAYS, reliabilityPower: 0 },
  "gumbel by reliability": { ...GUMBEL_DEFAULTS, ...ALWAYS, gradient: true },
  near: { kind: "near", share: 0.9, temperature: 0.5 },
  random: { kind: "random", share: 0.9 },
  scheduled: { kind: "scheduled", ...ALWAYS },
  noise: { kind: "noise", maxShare: 1 },
};
const kinds = Object.keys(EXPOSURES);
const others = kinds.filter((kind) => kind !== "teacher");

const numbers = (x: Tensor): number[] => Array.from(x.detach().contiguous().to("float64").read("float64"));

function model(dropout = 0): Transformer {
  manualSeed(21);
  const made = scope(() => new Transformer({ layers: 2, width: 16, heads: 2, dropout }, SHAPE));
  // GPT-2's start predicts nearly evenly; these logits differ enough for a difference to be seen.
  noGrad(() => made.head.weight.normal_(0, 1));
  return made;
}

const subject = model();
const codes = scope(() => {
  manualSeed(25);
  const made = ops.aten.randn([SHAPE.imageCodes, 3]);
  return made.div(made.norm(2, [1], true));
});
const near = scope(() => nearCodes(codes, 0.5));

function input(over: Partial<ExposureInput> = {}): ExposureInput {
  manualSeed(22);
  return {
    model: subject,
    conditions: ops.aten.randint(SHAPE.conditionCodes, [B, SHAPE.conditionTokens], { dtype: "int64" }),
    inputs: ops.aten.randint(SHAPE.imageCodes, [B, n], { dtype: "int64" }),
    near,
    step: 1,
    steps: 10,
    precisely: (body) => body(),
    ...over,
  };
}

function logitsOf(kind: string, over: Partial<ExposureInput> = {}, seed = 23): Tensor {
  const fed = input(over);
  manualSeed(seed);
  return exposedLogits(EXPOSURES[kind]!, fed);
}

describe.each(kinds)("%s", (kind) => {
  test("a prediction depends on nothing from its own token on", () => {
    scope(() => {
      const { inputs } = input();
      const before = logitsOf(kind);
      for (const at of [0, 3, n - 1]) {
        const changed = inputs.clone();
        changed.select(1, at).copy_(inputs.select(1, at).add(1).remainder(SHAPE.imageCodes));
        const after = logitsOf(kind, { inputs: changed });
        // Row t is the prediction of token t: it is made before token t is fed.
        const difference = numbers(after.sub(before).abs().amax([0, 2]));
        expect(Math.max(...difference.slice(0, at + 1)), `up to token ${at}`).toBeLessThan(1e-5);
      }
    });
  });

  test("draws the same with an equal seed", () => {
    scope(() => {
      const [first, second, other] = [logitsOf(kind), logitsOf(kind), logitsOf(kind, {}, 24)].map(numbers);
      expect(first).toEqual(second);
      if (kind === "teacher") expect(other).toEqual(first);
      else expect(other).not.toEqual(first);
    });
  });

  test.each(["float32", "bfloat16"] as const)("every weight gets a gradient in %s", (precision) => {
    scope(() => {
      const precisely: ExposureInput["precisely"] = (body) =>
        precision === "bfloat16" ? autocast({ dtype: precision }, body) : body();
      const logits = logitsOf(kind, { precisely });
      const parameters = subject.namedParameters();
      const gradients = grad([logits.to("float32").square().sum()], [...parameters.values()]);
      for (const [i, name] of [...parameters.keys()].entries()) {
        expect(gradients[i], name).not.toBeNull();
        expect(gradients[i]!.abs().sum().item(), name).toBeGreaterThan(0);
      }
    });
  });
});

test.each(["gumbel", "gumbel without gradient", "scheduled"])(
  "%s: what stands in for a token is drawn from the prediction of that token",
  (kind) => {
    scope(() => {
      const { inputs } = input();
      const before = logitsOf(kind);
      for (const at of [0, 3, n - 2]) {
        const changed = inputs.clone();
        changed.select(1, at).copy_(inputs.select(1, at).add(1).remainder(SHAPE.imageCodes));
        // All tokens are replaced here. The prediction of token `at` was made without it, so that nobody sees it before
        // the sample of token `at + 1`, which is fed to row `at + 2`.
        const difference = numbers(logitsOf(kind, { inputs: changed }).sub(before).abs().amax([0, 2]));
        expect(Math.max(...difference.slice(0, at + 2)), `up to row ${at + 1}`).toBeLessThan(1e-5);
        expect(Math.max(...difference.slice(at + 2)), `after row ${at + 1}`).toBeGreaterThan(1e-4);
      }
    });
  },
);

describe.each(others)("%s", (kind) => {
  test("is fed something else than the truth", () => {
    scope(() => {
      const fed = logitsOf(kind);
      const truth = logitsOf("teacher");
      expect(fed.shape).toEqual(truth.shape);
      // The first row sees the condition alone.
      const difference = numbers(fed.sub(truth).abs().amax([0, 2]));
      expect(difference[0]!).toBeLessThan(1e-5);
      expect(Math.max(...difference.slice(1))).toBeGreaterThan(1e-3);
    });
  });
});

test.each(["teacher", "gumbel", "gumbel without gradient"])("%s: what is trained drops out", (kind) => {
  const dropping = model(0.5);
  const exposure = { ...EXPOSURES[kind]!, maxShare: 0 } as Exposure;
  scope(() => {
    // Nothing is replaced, so the seeds differ by what is dropped alone.
    const [first, again, other] = [1, 1, 2].map((seed) => {
      const fed = input({ model: dropping });
      manualSeed(seed);
      return numbers(exposedLogits(exposure, fed));
    });
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });
});

test("tokens are replaced only where the prediction is relied on more than was said", () => {
  scope(() => {
    const truth = numbers(logitsOf("teacher"));
    const above = (reliabilityAbove: number) => {
      const fed = input();
      manualSeed(23);
      return numbers(exposedLogits({ ...EXPOSURES.gumbel, reliabilityAbove } as Exposure, fed));
    };
    expect(above(1)).toEqual(truth);
    expect(above(0)).not.toEqual(truth);
  });
});

describe("the way of the gradient", () => {
  /** Whether what is trained has a gradient for the logits of pass one. */
  function reachesPassOne(kind: string): boolean {
    return scope(() => {
      const seen: Tensor[] = [];
      const spied = new Proxy(subject, {
        get(target, name) {
          const member: unknown = Reflect.get(target, name, target);
          if (typeof member !== "function") return member;
          return (...parameters: unknown[]) => {
            const result: unknown = member.apply(target, parameters);
            if (name === "forward") seen.push(result as Tensor);
            return result;
          };
        },
      });
      const last = logitsOf(kind, { model: spied });
      const [first] = seen;
      if (!first!.requiresGrad) return false;
      return grad([last.sum()], [first!])[0] !== null;
    });
  }

  test("goes through the soft samples into pass one, where it is asked to", () => {
    expect(reachesPassOne("gumbel")).toBe(true);
    expect(reachesPassOne("gumbel without gradient")).toBe(false);
    expect(reachesPassOne("scheduled")).toBe(false);
  });

  test("with gradient or without, the loss is the same", () => {
    scope(() => {
      expect(numbers(logitsOf("gumbel"))).toEqual(numbers(logitsOf("gumbel without gradient")));
    });
  });
});

describe("near codes", () => {
  test("are drawn by the softmax of cosines, and never the code itself", () => {
    const angles = [0, 60, 90, 180].map((degrees) => (degrees * Math.PI) / 180);
    const codebook = tensor(angles.map((angle) => [Math.cos(angle), Math.sin(angle)]));
    const weights = [0, Math.exp(0.5 / 0.25), 1, Math.exp(-1 / 0.25)];
    const sum = weights.reduce((a, b) => a + b);
    const logits = nearCodes(codebook, 0.25);
    const probabilities = logits.softmax(-1);
    numbers(probabilities.select(0, 0)).forEach((value, k) => {
      expect(value).toBeCloseTo(weights[k]! / sum, 5);
    });
    expect(numbers(probabilities.diagonal())).toEqual([0, 0, 0, 0]);

    manualSeed(26);
    const tokens = ops.aten.zeros([400, 100], { dtype: "int64" });
    const fed = replaceNearby(tokens, logits, 0.2);
    const shares = numbers(ops.aten.bincount(fed.flatten(), null, 4)).map((count) => count / 40_000);
    [0.8, ...weights.slice(1).map((weight) => (0.2 * weight) / sum)].forEach((share, k) => {
      expect(Math.abs(shares[k]! - share)).toBeLessThan(0.01); // the standard error is 0.002
    });
  });

  test("look alike: the lower the temperature, the nearer they are", () => {
    const cosines = [0.05, 0.5, 5].map((temperature) => {
      const probabilities = nearCodes(codes, temperature).softmax(-1);
      return probabilities.mul(codes.matmul(codes.t())).sum([1]).mean().item();
    });
    expect(cosines[0]!).toBeGreaterThan(cosines[1]!);
    expect(cosines[1]!).toBeGreaterThan(cosines[2]!);
  });
});

describe("at step 4 of 10, what stands in is drawn by all that the configuration says", () => {
  const { imageCodes } = SHAPE;
  const ramp = { every: 1, maxShare: 1, rampShare: 0.8 }; // a half of it at step 4
  const noise = { kind: "noise", maxShare: 1 } as const;
  const gumbel = { ...GUMBEL_DEFAULTS, ...ramp, temperature: { from: 2, to: 0.5 }, reliabilityPower: 0.25 };
  const mixing = { temperature: 2 * 0.25 ** 0.4, share: 0.5, power: 0.25, above: 0 };
  const passOne = ({ conditions, inputs }: ExposureInput) =>
    noGrad(() => subject.forward(conditions, inputs).slice(1, 0, n));
  const fed = (tokens: (input: ExposureInput) => Tensor) => (input: ExposureInput) =>
    subject.forward(input.conditions, tokens(input));

  test.each<[string, Exposure, (input: ExposureInput) => Tensor]>([
    ["random", { kind: "random", share: 0.6 }, fed(({ inputs }) => replaceRandomly(inputs, imageCodes, 0.6))],
    [
      "near",
      { kind: "near", share: 0.6, temperature: 0.5 },
      fed(({ inputs, near }) => replaceNearby(inputs, near!, 0.6)),
    ],
    ["noise", noise, fed(({ inputs }) => replaceRandomly(inputs, imageCodes, noiseRates(noise, inputs, 4, 10)))],
    [
      "scheduled",
      { kind: "scheduled", ...ramp },
      fed((input) => replaceTokens(input.inputs, sampleTokens(passOne(input)), 0.5).tokens),
    ],
    [
      "gumbel",
      gumbel,
      (input) => {
        const { embeddings } = mixSamples(passOne(input), input.inputs, subject.imageEmbedding.weight, mixing);
        return subject.forwardEmbedded(input.conditions, embeddings);
      },
    ],
  ])("%s", (_, exposure, byHand) => {
    scope(() => {
      const given = input({ step: 4 });
      const logits = [(fed: ExposureInput) => exposedLogits(exposure, fed), byHand].map((make) => {
        manualSeed(23);
        return numbers(make(given));
      });
      expect(logits[0]).toEqual(logits[1]);
      expect(logits[0]).not.toEqual(numbers(exposedLogits({ kind: "teacher" }, given)));
    });
  });
});

describe("shares", () => {
  const [rows, columns, codes] = [400, 100, 20];
  const tokens = () => ops.aten.full([rows, columns], codes, { dtype: "int64" }); // a code that is never drawn

  test("every fourth step is due, beginning with the fourth", () => {
    expect(Array.from({ length: 9 }, (_, step) => step).filter((step) => isDue({ every: 4 }, step))).toEqual([3, 7]);
  });

  test.each([0, 0.1, 0.5, 1])("random replacement of %s", (share) => {
    manualSeed(31);
    scope(() => {
      const replaced = replaceRandomly(tokens(), codes, share).ne(codes).to("float64").mean().item();
      expect(Math.abs(replaced - share)).toBeLessThan(0.01); // the standard error is at most 0.0025
    });
  });

  test("what stands in is spread evenly over the codes", () => {
    manualSeed(32);
    scope(() => {
      const counts = numbers(ops.aten.bincount(replaceRandomly(tokens(), codes, 1).flatten(), null, codes));
      const each = (rows * columns) / codes;
      // Pearson's statistic, with 19 degrees of freedom: above 43.8 in 0.1 % of the cases.
      expect(counts.reduce((sum, count) => sum + (count - each) ** 2 / each, 0)).toBeLessThan(43.8);
    });
  });

  test("noise has a rate for each sequence, between none and a bound that ends at none", () => {
    manualSeed(33);
    scope(() => {
      const exposure = { kind: "noise", maxShare: 0.5 } as const;
      const bounds = [0, 25, 50, 100, 120].map((step) => noiseRates(exposure, tokens(), step, 100).max().item());
      [0.5, 0.375, 0.25, 0, 0].forEach((bound, i) => {
        expect(bounds[i]!).toBeLessThanOrEqual(bound);
        expect(bounds[i]!).toBeGreaterThan(bound - 0.02);
      });
      const rates = noiseRates(exposure, tokens(), 0, 100);
      expect(rates.mean().item()).toBeCloseTo(0.25, 1);
      const replaced = replaceRandomly(tokens(), codes, rates).ne(codes).to("float64").mean([1]);
      const correlation = numbers(ops.aten.corrcoef(ops.aten.stack([replaced, rates.squeeze(1).to("float64")])))[1]!;
      expect(correlation).toBeGreaterThan(0.9);
    });
  });

  test("hard samples are codes, distributed as the prediction says", () => {
    manualSeed(34);
    scope(() => {
      const logits = ops.aten.zeros([rows, columns, 3]);
      logits.select(2, 1).fill_(Math.log(3));
      const drawn = sampleTokens(logits);
      expect(drawn.dtype).toBe("int64");
      const shares = numbers(ops.aten.bincount(drawn.flatten(), null, 3)).map((count) => count / (rows * columns));
      [0.2, 0.6, 0.2].forEach((share, i) => {
        expect(Math.abs(shares[i]! - share)).toBeLessThan(0.01);
      });
    });
  });

  test("only what is said to be replaced is", () => {
    manualSeed(35);
    scope(() => {
      const truth = tokens();
      const { tokens: fed, replaced } = replaceTokens(truth, ops.aten.zeros_like(truth), 0.3);
      expect(numbers(fed.eq(0))).toEqual(numbers(replaced));
    });
  });
});
