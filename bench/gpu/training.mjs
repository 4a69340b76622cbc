// Both trainers on the device: equal weights take equal steps on the processor, a restored state goes on, and samplers agree.
import { CudaGraph, cudaGraphsAreAvailable, manualSeed, ops, scope } from "@iqvae/torch";
import { conditionFor } from "../../packages/iqvae/dist/conditions/index.js";
import { IqVae } from "../../packages/iqvae/dist/models/iqvae.js";
import { Transformer } from "../../packages/iqvae/dist/models/transformer.js";
import { cachedSampler, uncachedSampler } from "../../packages/iqvae/dist/sampling/sampler.js";
import { stage1Trainer, stage2Trainer } from "../trainers.mjs";
import { check, device, expectNear, finish, on } from "./report.mjs";

const small = { image: { channels: 32, multipliers: [1, 2], blocks: 1, patch: 2, codes: 64, codeDim: 16 } };
const rows = (step, batch) => Uint32Array.from({ length: batch }, (_, i) => (step * batch + i) % 512);

/** The same made-up data each time: an additive sequence of the golden ratio. */
function seeded(make) {
  let x = 0.5;
  const random = Math.random;
  Math.random = () => {
    x = (x + 0.6180339887498949) % 1;
    return x;
  };
  try {
    return make();
  } finally {
    Math.random = random;
  }
}

/** Two trainers with equal weights, and the losses of equal steps. */
function besides(make, steps, most) {
  const here = make();
  const there = on(device, make);
  on(device, () => there.restore(here.tensors(), here.state()));
  const apart = [];
  for (let step = 0; step < steps; step++) {
    const losses = [
      ["cpu", here],
      [device, there],
    ].map(([where, trainer]) => {
      manualSeed(step);
      return on(where, () => scope(() => trainer.step(rows(step, 16)).loss));
    });
    apart.push(Math.abs(losses[1] - losses[0]) / Math.abs(losses[0]));
  }
  // A GPU reads its losses every ten steps, so the first, and the mean of all after it, are compared.
  const [first, last] = [apart[0], apart.at(-1)];
  if (!(first <= most)) throw new Error(`the first losses are ${first} apart, ${most} allowed`);
  const of = (trainer, name) => trainer.tensors().get(name);
  const names = [...here.tensors().keys()].filter((name) => /head\.weight$/.test(name) && name.startsWith("model."));
  return {
    first,
    last,
    names: names.length,
    weights: names.map((name) => expectNear(name, of(there, name), of(here, name), 0.2)),
  };
}

const stage1 = (more) => () =>
  seeded(() =>
    stage1Trainer({
      precision: "float32",
      size: 32,
      steps: 1000,
      model: { ...small, condition: { ...small.image, codes: 32 } },
      ...more,
    }),
  );
check("stage 1, before the codes are placed", () => besides(stage1({}), 3, 1e-3));
for (const estimator of ["sliced", "paired", "entropic"])
  check(`stage 1 with ${estimator}`, () =>
    besides(stage1({ steps: 16, regularizer: { estimator, weight: 0.2 } }), 2, 1e-3),
  );
check("stage 1 with a discriminator", () =>
  besides(stage1({ adversarial: { channels: 16, layers: 2, startShare: 0 } }), 3, 1e-3),
);

const stage2 =
  (exposure, precision = "float32") =>
  () =>
    seeded(() =>
      stage2Trainer({ precision, exposure, batch: 512, layers: 2, width: 64, heads: 4, codes: 32, tokens: 16 }),
    );
for (const exposure of ["teacher", "gumbel", "random"])
  check(`stage 2 with ${exposure}`, () => besides(stage2(exposure), 3, exposure === "teacher" ? 1e-4 : 1e-2));

for (const name of ["stage 1", "stage 2"])
  for (const precision of ["float32", "bfloat16"])
    check(`${name} in ${precision}: 30 steps, evaluation, state kept and put back`, () =>
      on(device, () => {
        const trainer = name === "stage 1" ? stage1({ precision })() : stage2("gumbel", precision)();
        let [first, last] = [0, 0];
        for (let step = 0; step < 30; step++) {
          const { loss } = scope(() => trainer.step(rows(step, 16)));
          if (step === 0) first = loss;
          last = loss;
        }
        if (!(last < first)) throw new Error(`the loss went from ${first} to ${last}`);
        const evaluate = (trainer) => {
          manualSeed(5);
          return scope(() => trainer.evaluate());
        };
        const before = evaluate(trainer);
        const other = name === "stage 1" ? stage1({ precision })() : stage2("gumbel", precision)();
        other.restore(trainer.tensors(), trainer.state());
        const after = evaluate(other);
        for (const [figure, value] of Object.entries(before))
          if (Math.abs(after[figure] - value) > 0.02 * Math.abs(value) + 1e-4)
            throw new Error(`${figure}: ${value}, then ${after[figure]}`);
        return { first, last };
      }),
    );

check("auto-encoders give the processor's tokens", () =>
  scope(() => {
    const condition = conditionFor({ kind: "semantic", classes: ["a", "b", "c"] }, 32);
    const make = () => new IqVae({ ...small, condition: small.image }, condition);
    const here = make();
    const there = on(device, make);
    there.loadStateDict(here.stateDict());
    manualSeed(1);
    const images = ops.aten.randint(0, 256, [16, 32, 32, 3]).to("uint8");
    const [a, b] = [here.encodeImage(images), there.encodeImage(images.to({ device })).to({ device: "cpu" })];
    const equal = a.eq(b).to("float32").mean().item();
    if (equal < 0.999) throw new Error(`${equal} of the tokens are equal`);
    return { equal };
  }),
);

for (const sampler of [cachedSampler, uncachedSampler])
  check(`${sampler.name} draws the processor's tokens`, () =>
    scope(() => {
      const shape = { conditionCodes: 32, imageCodes: 32, conditionTokens: 16, imageTokens: 16 };
      const make = () => new Transformer({ layers: 3, width: 64, heads: 4, dropout: 0 }, shape);
      const here = make();
      const there = on(device, make);
      there.loadStateDict(here.stateDict());
      const conditions = ops.aten
        .arange(5 * 16)
        .remainder(32)
        .reshape([5, 16]);
      const draw = (model, where) =>
        on(where, () =>
          sampler(model)
            .sample(conditions.to({ device: where }), { seed: 3, samples: 4 })
            .to({ device: "cpu" }),
        );
      const equal = draw(here, "cpu").eq(draw(there, device)).to("float32").mean().item();
      if (equal < 0.95) throw new Error(`${equal} of the tokens are equal`);
      return { equal };
    }),
  );

if (cudaGraphsAreAvailable()) {
  check("a graph does its work again with other values, after a body that cannot be recorded", () =>
    on(device, () => {
      const [x, y] = [ops.aten.ones([1000]), ops.aten.zeros([1000])];
      let refused = false;
      try {
        new CudaGraph(device, () => void x.sum().item());
      } catch {
        refused = true;
      }
      if (!refused) throw new Error("a graph that reads a number was recorded");
      const graph = new CudaGraph(device, () => void y.copy_(x.mul(2).add(1)));
      const seen = [1, 5].map((value) => {
        x.fill_(value);
        graph.replay();
        return y.sum().item() / 1000;
      });
      graph.dispose();
      if (seen.join() !== "3,11") throw new Error(`it gave ${seen}, not 3 and 11`);
    }),
  );
}

finish();
