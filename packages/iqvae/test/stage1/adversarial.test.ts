import { fileURLToPath } from "node:url";
import {
  liveTensors,
  manualSeed,
  noGrad,
  ops,
  readSafetensors,
  scope,
  type Tensor,
  tensor,
  unscoped,
} from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Discriminator, leastSide } from "../../src/models/discriminator.ts";
import { AdversarialLoss, adaptiveWeight, hingeLoss } from "../../src/stage1/adversarial.ts";
import { below, prefixed } from "../../src/support/tensor-names.ts";

const goldens = unscoped(
  () => readSafetensors(fileURLToPath(new URL("../goldens/losses.safetensors", import.meta.url))).tensors,
);
const golden = (name: string): Tensor => goldens.get(name)!;
const SIZE = { channels: 8, layers: 2 };
const CONFIG = { ...SIZE, weight: 0.8, startShare: 0.5, rate: 1e-3 };
const plainly = <T>(body: () => T): T => body();

/** The largest difference, as a share of the largest expected value. */
function worst(actual: Tensor, expected: Tensor): number {
  expect(actual.shape).toEqual(expected.shape);
  const wanted = expected.to("float64");
  const most = actual.detach().to("float64").sub(wanted).abs().max().item();
  return most / Math.max(1e-6, wanted.abs().max().item());
}

/** The decoder's last layer of the goldens, and what it makes. */
function reconstruct() {
  const [features, last] = [golden("features").clone(), golden("last").clone()];
  features.requiresGrad = true;
  last.requiresGrad = true;
  const reconstruction = ops.aten.conv2d(features, last, null, [1, 1], [1, 1]);
  return { features, last, reconstruction, loss: ops.aten.l1_loss(reconstruction, golden("real")) };
}

/** The loss with the weights of the goldens. */
function goldenAdversary(config = CONFIG): AdversarialLoss {
  const adversary = new AdversarialLoss(config);
  const tensors = new Map(adversary.tensors());
  for (const [name, weight] of prefixed("discriminator.", below("weight/", goldens))) tensors.set(name, weight);
  adversary.restore(tensors, 0);
  return adversary;
}

describe("the discriminator against PyTorch", () => {
  const discriminator = () => {
    const made = new Discriminator(SIZE);
    made.loadStateDict(below("weight/", goldens));
    return made;
  };

  test("logits, hinge loss and the gradient of every weight", () => {
    scope(() => {
      const subject = discriminator();
      const { reconstruction } = reconstruct();
      const [real, fake] = [golden("real"), reconstruction.detach()].map((x) => subject.forward(x));
      expect(worst(real!, golden("realLogits"))).toBeLessThan(1e-5);
      expect(worst(fake!, golden("fakeLogits"))).toBeLessThan(1e-5);
      const loss = hingeLoss(real!, fake!);
      expect(loss.item()).toBeCloseTo(golden("discriminatorLoss").item(), 5);
      loss.backward();
      for (const [name, parameter] of subject.namedParameters())
        expect(worst(parameter.grad!, golden(`discriminatorGradient/${name}`)), name).toBeLessThan(1e-4);
    });
  });

  test("judges each image by itself", () => {
    scope(() => {
      const subject = discriminator();
      const both = subject.forward(golden("real"));
      expect(worst(subject.forward(golden("real").slice(0, 0, 1)), both.slice(0, 0, 1))).toBeLessThan(1e-6);
    });
  });

  test.each([1, 2, 3])("with %s layers it has one patch left at its least side, and none below", (layers) => {
    scope(() => {
      const subject = new Discriminator({ channels: 8, layers });
      const judge = (side: number) => subject.forward(ops.aten.zeros([1, 3, side, side])).shape;
      expect(judge(leastSide(layers))).toEqual([1, 1, 1, 1]);
      expect(() => judge(leastSide(layers) - 2 ** layers)).toThrow();
    });
  });
});

test("hinge loss by hand", () => {
  scope(() => {
    const loss = hingeLoss(tensor([2, 0.5, -1]), tensor([-2, 0, 1]));
    expect(loss.item()).toBeCloseTo(((0 + 0.5 + 2) / 3 + (0 + 1 + 2) / 3) / 2, 6);
  });
});

test("the adaptive weight is a ratio of norms that knows its bounds", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 100, noNaN: true }), fc.double({ min: 0, max: 100, noNaN: true }), (a, b) => {
      const got = scope(() => adaptiveWeight(tensor([0.6 * a, 0.8 * a]), tensor([b, 0])).item());
      expect(got).toBeCloseTo(Math.min(1e4, a / (b + 1e-4)), a / (b + 1e-4) > 10 ? -1 : 3);
    }),
  );
  expect(scope(() => adaptiveWeight(tensor([1e9]), tensor([0])).item())).toBe(1e4);
});

describe("a turn of the adversary against PyTorch", () => {
  test("losses, adaptive weight and the gradient that reaches the auto-encoder", () => {
    scope(() => {
      const { features, last, reconstruction, loss } = reconstruct();
      const { term, parts } = goldenAdversary().compute({ real: golden("real"), reconstruction, loss, last }, plainly);
      expect(parts.adversarialLoss.item()).toBeCloseTo(golden("adversarialLoss").item(), 4);
      expect(parts.discriminatorLoss.item()).toBeCloseTo(golden("discriminatorLoss").item(), 5);
      expect(parts.adversarialWeight.item() / 0.8 / golden("adaptiveWeight").item()).toBeCloseTo(1, 4);
      loss.add(term).backward();
      expect(worst(features.grad!, golden("gradient/features"))).toBeLessThan(1e-4);
      expect(worst(last.grad!, golden("gradient/last"))).toBeLessThan(1e-4);
    });
  });

  test("makes one Adam step on the hinge loss, and on nothing else", () => {
    scope(() => {
      const { last, reconstruction, loss } = reconstruct();
      const adversary = goldenAdversary();
      adversary.compute({ real: golden("real"), reconstruction, loss, last }, plainly);
      adversary.learn(0.5);
      expect(adversary.steps).toBe(1);
      // Adam's first step is the rate against the gradient's sign, wherever the gradient is not tiny.
      for (const [name, after] of below("discriminator.", adversary.tensors())) {
        const gradient = golden(`discriminatorGradient/${name}`);
        const clear = gradient.abs().gt(1e-5);
        const moved = after.detach().sub(golden(`weight/${name}`));
        const wanted = gradient.sign().mul(-0.5 * CONFIG.rate);
        // A decay of the weights would be seen in those of norms, which are 1.
        expect(moved.sub(wanted).mul(clear).abs().max().item(), name).toBeLessThan(0.002 * CONFIG.rate);
        // Moments are 0.5 of the gradients and 0.1 of their squares.
        const [first, second] = ["first", "second"].map(
          (kind) => adversary.tensors().get(`discriminatorOptimizer.${name}.${kind}`)!,
        );
        expect(second!.sum().item() / first!.square().sum().item(), name).toBeCloseTo(0.1 / 0.25, 3);
      }
    });
  });

  test("joins after its share of the steps", () => {
    const adversary = scope(() => new AdversarialLoss(CONFIG));
    expect([0, 4, 5, 9].map((step) => adversary.isActive(step, 10))).toEqual([false, false, true, true]);
  });

  test("leaves no tensor behind", () => {
    const adversary = scope(() => goldenAdversary());
    const turn = () =>
      scope(() => {
        const { last, reconstruction, loss } = reconstruct();
        const { term } = adversary.compute({ real: golden("real"), reconstruction, loss, last }, plainly);
        loss.add(term).backward();
        adversary.learn(1);
      });
    turn();
    const before = liveTensors();
    for (let i = 0; i < 5; i++) turn();
    expect(liveTensors()).toBe(before);
  });
});

test("learns to tell two textures apart", () => {
  manualSeed(3);
  const adversary = scope(() => new AdversarialLoss({ ...CONFIG, rate: 2e-3 }));
  const losses = Array.from({ length: 40 }, () =>
    scope(() => {
      const noise = noGrad(() => ops.aten.rand([8, 3, 16, 16]).mul(2).sub(1));
      const real = noGrad(() => noise.sign());
      const last = tensor([1], { requiresGrad: true });
      const reconstruction = noise.mul(last);
      const loss = ops.aten.l1_loss(reconstruction, real);
      const { parts } = adversary.compute({ real, reconstruction, loss, last }, plainly);
      adversary.learn(1);
      return parts.discriminatorLoss.item();
    }),
  );
  expect(losses[0]!).toBeGreaterThan(0.9);
  expect(losses.at(-1)!).toBeLessThan(0.3);
});
