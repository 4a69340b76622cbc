import { fileURLToPath } from "node:url";
import {
  autocast,
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
import { type Block, Transformer, type TransformerConfig } from "../../src/models/transformer.ts";

const goldens = unscoped(
  () => readSafetensors(fileURLToPath(new URL("../goldens/transformer.safetensors", import.meta.url))).tensors,
);
const golden = (name: string): Tensor => goldens.get(name)!;
const below = (prefix: string): Map<string, Tensor> =>
  new Map([...goldens].filter(([name]) => name.startsWith(prefix)).map(([name, t]) => [name.slice(prefix.length), t]));

const SHAPE = { conditionCodes: 7, imageCodes: 11, conditionTokens: 5, imageTokens: 6 };
const CONFIG: TransformerConfig = { layers: 3, width: 16, heads: 4, dropout: 0 };

/** The largest difference, as a share of the largest expected value. */
function worst(actual: Tensor, expected: Tensor): number {
  expect(actual.shape).toEqual(expected.shape);
  const got = actual.detach().to("float64");
  const wanted = expected.to("float64");
  return got.sub(wanted).abs().max().item() / Math.max(1e-3, wanted.abs().max().item());
}

function goldenModel(): Transformer {
  const model = new Transformer(CONFIG, SHAPE);
  model.loadStateDict(below("weight/"));
  return model;
}

const lossOf = (model: Transformer): Tensor => {
  const image = golden("image");
  const logits = model.forward(golden("condition"), image.slice(1, 0, SHAPE.imageTokens - 1));
  return ops.aten.cross_entropy_loss(logits.flatten(0, 1).to("float32"), image.flatten());
};

describe("against PyTorch's own encoder layers", () => {
  test("logits and loss", () => {
    scope(() => {
      const model = goldenModel();
      const logits = model.forward(golden("condition"), golden("image").slice(1, 0, SHAPE.imageTokens - 1));
      expect(worst(logits, golden("logits"))).toBeLessThan(2e-6);
      expect(lossOf(model).item()).toBeCloseTo(golden("loss").item(), 5);
    });
  });

  test("the gradient of every parameter", () => {
    scope(() => {
      const model = goldenModel();
      lossOf(model).backward();
      const expected = below("gradient/");
      const parameters = model.namedParameters();
      expect([...parameters.keys()].sort()).toEqual([...expected.keys()].sort());
      for (const [name, parameter] of parameters)
        expect(worst(parameter.grad!, expected.get(name)!), name).toBeLessThan(2e-5);
    });
  });

  test("bfloat16 autocast comes close", () => {
    scope(() => {
      const model = goldenModel();
      const loss = autocast({ dtype: "bfloat16" }, () => lossOf(model));
      loss.backward();
      expect(Math.abs(loss.item() - golden("loss").item())).toBeLessThan(0.02);
      const expected = below("gradient/");
      for (const [name, parameter] of model.namedParameters())
        expect(worst(parameter.grad!, expected.get(name)!), name).toBeLessThan(0.06);
    });
  });
});

test("a token changes no logits of tokens before it, and some after it", () => {
  const model = goldenModel();
  const ids = (values: readonly number[]): Tensor => tensor(Int32Array.from(values), { shape: [1, values.length] });
  const forward = (condition: readonly number[], image: readonly number[]): Float32Array[] =>
    noGrad(() =>
      scope(() => {
        const logits = model.forward(ids(condition).to("int64"), ids(image).to("int64"));
        return Array.from({ length: image.length + 1 }, (_, t) => logits.select(1, t).contiguous().read("float32"));
      }),
    );
  const codes = (length: number, count: number): fc.Arbitrary<number[]> =>
    fc.array(fc.nat(count - 1), { minLength: length, maxLength: length });
  fc.assert(
    fc.property(
      codes(SHAPE.conditionTokens, SHAPE.conditionCodes),
      codes(SHAPE.imageTokens - 1, SHAPE.imageCodes),
      fc.nat(SHAPE.imageTokens - 2),
      fc.integer({ min: 1, max: SHAPE.imageCodes - 1 }),
      (condition, image, changed, shift) => {
        const before = forward(condition, image);
        const other = image.with(changed, (image[changed]! + shift) % SHAPE.imageCodes);
        const after = forward(condition, other);
        // Row t predicts image token t from the tokens before it: token `changed` first matters to row changed + 1.
        for (let t = 0; t <= changed; t++) expect(after[t]).toEqual(before[t]);
        for (let t = changed + 1; t < after.length; t++) expect(after[t]).not.toEqual(before[t]);
        const conditioned = forward(
          condition.map((token) => (token + 1) % SHAPE.conditionCodes),
          image,
        );
        for (const [t, row] of conditioned.entries()) expect(row).not.toEqual(before[t]);
      },
    ),
    { numRuns: 25, seed: 1 },
  );
});

test("a shorter input gives the same first logits", () => {
  scope(() => {
    const model = goldenModel();
    const [condition, image] = [golden("condition"), golden("image")];
    for (let n = 0; n < SHAPE.imageTokens; n++) {
      const logits = model.forward(condition, image.slice(1, 0, n));
      expect(worst(logits, golden("logits").slice(1, 0, n + 1))).toBeLessThan(2e-6);
    }
  });
});

test("starts with GPT-2's deviations and the loss of a guess", () => {
  manualSeed(3);
  const config = { layers: 8, width: 128, heads: 4, dropout: 0 };
  const shape = { conditionCodes: 64, imageCodes: 256, conditionTokens: 16, imageTokens: 16 };
  scope(() => {
    const model = new Transformer(config, shape);
    const deviation = (x: Tensor): number => x.detach().std(true).item();
    const block = model.blocks[3]!;
    for (const weight of [block.attention.qkv.weight, block.expand.weight, model.head.weight, model.positions])
      expect(deviation(weight) / 0.02).toBeCloseTo(1, 1);
    for (const weight of [block.attention.project.weight, block.contract.weight])
      expect((deviation(weight) / 0.02) * 4).toBeCloseTo(1, 1); // 1/√(2·8)
    expect(block.expand.bias!.detach().abs().max().item()).toBe(0);
    const ids = ops.aten.randint(64, [8, 16], { dtype: "int64" });
    const logits = noGrad(() => model.forward(ids, ids.slice(1, 0, 15)));
    const loss = ops.aten.cross_entropy_loss(logits.flatten(0, 1), ids.flatten()).item();
    expect(Math.abs(loss - Math.log(256))).toBeLessThan(0.1);
  });
});

test("dropout acts in training only", () => {
  manualSeed(4);
  scope(() => {
    const model = new Transformer({ ...CONFIG, dropout: 0.5 }, SHAPE);
    model.loadStateDict(below("weight/"));
    const image = golden("image").slice(1, 0, 5);
    const run = (training: boolean): Tensor => model.forward(golden("condition"), image, { training });
    expect(worst(run(false), golden("logits"))).toBeLessThan(2e-6);
    expect(worst(run(true), run(true))).toBeGreaterThan(0.01);
  });
});

test.each(["embedding", "attention", "perceptron"])("dropout acts after the %s", (place) => {
  scope(() => {
    manualSeed(1);
    const model = new Transformer({ ...CONFIG, layers: 1, dropout: 0.5 }, SHAPE);
    const [block] = model.blocks as [Block];
    // Of zeros nothing can be dropped.
    const silent = [
      ...(place === "embedding" ? [] : [model.positions, model.imageEmbedding.weight]),
      ...(place === "attention" ? [] : [block.attention.project.weight]),
      ...(place === "perceptron" ? [] : [block.contract.weight]),
    ];
    noGrad(() => {
      block.attention.qkv.bias!.fill_(1); // attention says something of nothing, too
      block.expand.bias!.fill_(1);
      for (const weight of silent) weight.zero_();
    });
    const [condition, image] = [golden("condition"), golden("image").slice(1, 0, 2)];
    if (place !== "embedding") noGrad(() => model.conditionEmbedding.weight.zero_());
    const [first, other] = [1, 2].map((seed) => {
      manualSeed(seed);
      return model.forward(condition, image, { training: true });
    });
    expect(worst(first!, other!)).toBeGreaterThan(1e-3);
  });
});

test("a step in a scope leaves no tensor behind", () => {
  const model = goldenModel();
  const step = (): void => {
    scope(() => lossOf(model).backward());
    for (const parameter of model.namedParameters().values()) parameter.grad = undefined;
  };
  step(); // the causal mask stays
  const before = liveTensors();
  for (let i = 0; i < 5; i++) step();
  expect(liveTensors()).toBe(before);
});

describe("refuses", () => {
  const make =
    (config: Partial<TransformerConfig>, shape: Partial<typeof SHAPE> = {}) =>
    () =>
      new Transformer({ ...CONFIG, ...config }, { ...SHAPE, ...shape });

  test.each([
    [{ layers: 0 }, {}, "Transformer: layers must be a whole number of at least 1, but is 0"],
    [
      { heads: 3 },
      {},
      "Transformer: width 16 does not divide into 3 heads; take a width that is a multiple of the heads",
    ],
    [{ dropout: 1 }, {}, "Transformer: dropout must be in [0, 1), but is 1"],
    [{}, { imageCodes: 2.5 }, "Transformer: imageCodes must be a whole number of at least 1, but is 2.5"],
  ])("%o %o", (config, shape, message) => {
    expect(make(config, shape)).toThrow(new RangeError(message));
  });

  test("sequences that do not fit", () => {
    scope(() => {
      const model = goldenModel();
      const [condition, image] = [golden("condition"), golden("image")];
      expect(() => model.forward(condition, image)).toThrow(
        "Transformer.forward got 6 image tokens; at most 5 of the model's 6 are inputs, since the last is only predicted: leave it out",
      );
      expect(() => model.forward(condition.slice(1, 0, 4), image.slice(1, 0, 5))).toThrow(
        "Transformer.forward got 4 condition tokens, but the model is made for 5; encode the condition with the stage-1 model that this transformer was trained with",
      );
    });
  });
});
