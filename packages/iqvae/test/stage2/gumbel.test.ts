import { grad, manualSeed, noGrad, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import { exposureSchema, type GumbelExposure } from "../../src/stage2/config.ts";
import {
  gumbelNoise,
  gumbelSoftmax,
  mixSamples,
  reliability,
  replacementProbability,
  shareAt,
  temperatureAt,
} from "../../src/stage2/gumbel.ts";

const numbers = (x: Tensor): number[] => Array.from(x.detach().contiguous().to("float64").read("float64"));
const expectNumbers = (x: Tensor, wanted: readonly number[], digits = 5): void => {
  const got = numbers(x);
  expect(got.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) expect(got[i]).toBeCloseTo(value, digits);
};

describe("schedules", () => {
  const exposure = {
    ...(exposureSchema.parse({ kind: "gumbel" }) as GumbelExposure),
    temperature: { from: 2, to: 0.5 },
    maxShare: 0.6,
    rampShare: 0.5,
  };

  test("temperature falls geometrically, and stays", () => {
    const at = (step: number): number => temperatureAt(exposure, step, 100);
    expect([at(0), at(50), at(100), at(500)]).toEqual([2, 1, 0.5, 0.5]);
  });

  test("the share grows to its largest by half of the steps, and stays", () => {
    const at = (step: number): number => shareAt(exposure, step, 100);
    expect(at(0)).toBe(0);
    expect(at(25)).toBeCloseTo(0.3);
    expect(at(50)).toBeCloseTo(0.6);
    expect(at(99)).toBeCloseTo(0.6);
  });
});

test("noise has the Gumbel distribution's mean, variance and quantiles", () => {
  manualSeed(11);
  const noise = Float64Array.from(scope(() => gumbelNoise(ops.aten.zeros([200_000])).read("float32")));
  const mean = noise.reduce((a, b) => a + b) / noise.length;
  const variance = noise.reduce((a, b) => a + (b - mean) ** 2, 0) / noise.length;
  expect(mean).toBeCloseTo(0.57722, 1); // Euler's constant; the standard error is 0.003
  expect(Math.abs(variance - Math.PI ** 2 / 6)).toBeLessThan(0.04);
  for (const q of [0.01, 0.1, 0.5, 0.9, 0.99]) {
    const quantile = -Math.log(-Math.log(q)); // the inverse of e^(−e^(−x))
    expect(Math.abs(noise.filter((x) => x < quantile).length / noise.length - q)).toBeLessThan(0.004);
  }
});

test("Gumbel-softmax by hand", () => {
  scope(() => {
    const logits = tensor([Math.log(1), Math.log(2), Math.log(5)]);
    const noise = tensor([Math.log(4), 0, 0]);
    expectNumbers(gumbelSoftmax(logits, noise, 1), [4 / 11, 2 / 11, 5 / 11]);
    expectNumbers(gumbelSoftmax(logits, noise, 0.5), [16 / 45, 4 / 45, 25 / 45]); // squares
  });
});

test("the largest entry of the samples falls as the softmax says, whatever the temperature", () => {
  manualSeed(12);
  const [rows, K] = [40_000, 5];
  scope(() => {
    const logits = tensor([0.3, -1, 1.2, 0, 2]);
    const expected = numbers(logits.softmax(-1));
    for (const temperature of [0.3, 1, 3]) {
      const many = logits.expand([rows, K]);
      const hits = gumbelSoftmax(many, gumbelNoise(many.contiguous()), temperature).argmax(-1);
      const counts = numbers(ops.aten.bincount(hits, null, K));
      // Pearson's statistic, with 4 degrees of freedom: above 18.5 in 0.1 % of the cases.
      const statistic = counts.reduce((sum, n, k) => sum + (n - rows * expected[k]!) ** 2 / (rows * expected[k]!), 0);
      expect(statistic).toBeLessThan(18.5);
    }
  });
});

test("reliability is the true token's probability, without a gradient", () => {
  scope(() => {
    const logits = tensor(
      [
        [
          [0, Math.log(3)],
          [Math.log(7), 0],
        ],
      ],
      { requiresGrad: true },
    );
    const r = reliability(logits, tensor(BigInt64Array.of(1n, 1n), { shape: [1, 2] }));
    expectNumbers(r, [3 / 4, 1 / 8]);
    expect(r.requiresGrad).toBe(false);
  });
});

test("replacement follows reliability and never exceeds the share", () => {
  scope(() => {
    const r = tensor([0, 0.25, 1]);
    expectNumbers(replacementProbability(r, 0.5, 1, 0), [0, 0.125, 0.5]);
    expectNumbers(replacementProbability(r, 0.5, 2, 0), [0, 0.03125, 0.5]);
    const other = tensor([0.01, 0.25, 0.5, 0.51, 1]);
    expectNumbers(replacementProbability(other, 0.5, 0, 0), [0.5, 0.5, 0.5, 0.5, 0.5]); // the random control
    expectNumbers(replacementProbability(other, 0.5, 0, 0.5), [0, 0, 0, 0.5, 0.5]); // all that is reliable, alike
    expectNumbers(replacementProbability(other, 0.5, 1, 0.5), [0, 0, 0, 0.255, 0.5]);
  });
});

describe("mixing", () => {
  const [B, n, K, C] = [64, 50, 4, 3];
  const table = (): Tensor => ops.aten.randn([K, C]);
  const options = { temperature: 0.7, share: 0.8, power: 1, above: 0 };

  test("replaces as often as reliability says, and nothing else changes", () => {
    manualSeed(13);
    scope(() => {
      const targets = ops.aten.randint(K, [B, n], { dtype: "int64" });
      const weight = table();
      const logits = tensor([2, 0, 0, 0]).expand([B, n, K]).contiguous();
      const { embeddings, replaced } = mixSamples(logits, targets, weight, options);
      const truth = ops.aten.embedding(weight, targets);
      const changed = embeddings.ne(truth).any(-1);
      expect(numbers(changed)).toEqual(numbers(replaced));
      const share = (code: number): number => {
        const rows = targets.eq(code);
        return replaced.logical_and(rows).sum().item() / rows.sum().item();
      };
      const p = Math.exp(2) / (Math.exp(2) + 3);
      expect(Math.abs(share(0) - 0.8 * p)).toBeLessThan(0.06);
      expect(Math.abs(share(1) - (0.8 * (1 - p)) / 3)).toBeLessThan(0.04);
    });
  });

  test("a sample's embedding lies within the hull of the table", () => {
    manualSeed(14);
    scope(() => {
      const targets = ops.aten.zeros([B, n], { dtype: "int64" });
      const weight = table();
      const logits = ops.aten.randn([B, n, K]);
      const { embeddings } = mixSamples(logits, targets, weight, { ...options, share: 1, power: 0 });
      const [low] = weight.min(0);
      const [high] = weight.max(0);
      expect(
        embeddings
          .ge(low.sub(1e-5))
          .logical_and(embeddings.le(high.add(1e-5)))
          .all()
          .item(),
      ).toBeTruthy();
    });
  });

  test("the gradient flows through samples into the logits, and only there", () => {
    manualSeed(15);
    scope(() => {
      const targets = ops.aten.randint(K, [B, n], { dtype: "int64" });
      const logits = ops.aten.randn([B, n, K]);
      logits.requiresGrad = true;
      const { embeddings, replaced } = mixSamples(logits, targets, table(), options);
      const [gradient] = grad([embeddings.sum()], [logits]);
      const reached = noGrad(() => gradient!.abs().sum([-1]).gt(0));
      expect(numbers(reached)).toEqual(numbers(replaced));
    });
  });

  test("nothing is replaced that is not reliable enough", () => {
    manualSeed(16);
    scope(() => {
      const targets = ops.aten.randint(K, [B, n], { dtype: "int64" });
      const logits = tensor([2, 0, 0, 0]).expand([B, n, K]).contiguous();
      const { replaced } = mixSamples(logits, targets, table(), { ...options, share: 1, power: 0, above: 0.5 });
      expect(numbers(replaced)).toEqual(numbers(targets.eq(0)));
    });
  });

  test("share 0 is teacher forcing", () => {
    scope(() => {
      const targets = ops.aten.randint(K, [B, n], { dtype: "int64" });
      const weight = table();
      const { embeddings } = mixSamples(ops.aten.randn([B, n, K]), targets, weight, { ...options, share: 0 });
      expect(numbers(embeddings)).toEqual(numbers(ops.aten.embedding(weight, targets)));
    });
  });
});
