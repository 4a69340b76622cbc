import { sampleSeed } from "@iqvae/runtime";
import { noGrad, ops, scope, type Tensor, unscoped } from "@iqvae/torch";
import { describe, expect, test } from "vitest";
import type { TokenSampleOptions } from "../../src/sampling/options.ts";
import { cachedSampler, uncachedSampler } from "../../src/sampling/sampler.ts";
import { LibtorchNoise } from "./libtorch-noise.ts";
import { drawn, SHAPE, sharpModel } from "./support.ts";

const model = sharpModel(1, SHAPE, { unconditional: true });
const conditions = unscoped(() => ops.aten.randint(SHAPE.conditionCodes, [4, 9], { dtype: "int64" }));
const others = unscoped(() => ops.aten.randint(SHAPE.conditionCodes, [4, 9], { dtype: "int64" }));
const draw = (options: TokenSampleOptions, given: Tensor = conditions) => drawn(cachedSampler(model), given, options);

/** Sampling written out for one image: noise and logits of each step, with `logitsAt` from the tokens so far `[1, t]`. */
function byHand(seed: number, logitsAt: (before: Tensor, t: number) => Tensor): number[] {
  return scope(() =>
    noGrad(() => {
      const noise = new LibtorchNoise(seed, SHAPE.imageCodes);
      let tokens = ops.aten.zeros([1, 0], { dtype: "int64" });
      for (let t = 0; t < SHAPE.imageTokens; t++) {
        const token = logitsAt(tokens, t).add(noise.next()).argmax(-1);
        tokens = ops.aten.cat([tokens, token.unsqueeze(0).view([1, 1])], 1);
      }
      return Array.from(tokens.read("int64"), Number);
    }),
  );
}

const seedOf = (condition: Tensor) => sampleSeed(3, Array.from(condition.read("int64"), Number), 0);
const logits = (condition: Tensor, before: Tensor, t: number) => model.forward(condition, before).select(1, t);
const nothing = () => ops.aten.full([1, 9], model.absent!, { dtype: "int64" });

describe("guidance", () => {
  test("1 is none, to the bit", () => {
    const plain = draw({ samples: 3, seed: 2 });
    expect(draw({ samples: 3, seed: 2, guidance: 1 })).toEqual(plain);
    expect(draw({ samples: 3, seed: 2, guidance: 2 })).not.toEqual(plain);
  });

  test.each([0.5, 2, 4])("%d draws from u + s(c − u)", (s) => {
    scope(() => {
      for (let i = 0; i < 4; i++) {
        const one = conditions.slice(0, i, i + 1);
        const expected = byHand(seedOf(one), (before, t) => {
          const [c, u] = [logits(one, before, t), logits(nothing(), before, t)];
          return u.add(c.sub(u).mul(s));
        });
        expect(draw({ guidance: s, seed: 3 }, one)).toEqual(expected);
      }
    });
  });

  test("0 leaves the condition out", () => {
    // The same numbers for all conditions: then only the condition could make them differ.
    const tokens = draw({ guidance: 0, noise: { kind: "shared" } });
    for (let i = 1; i < 4; i++) expect(tokens.slice(16 * i, 16 * (i + 1))).toEqual(tokens.slice(0, 16));
  });

  test.each([{ guidance: 3 }, { guidance: 0 }, { guidance: 1.5, topK: 5, temperature: 0.8, samples: 3, batch: 5 }])(
    "cached draws what uncached draws: %o",
    (options) => {
      expect(draw(options)).toEqual(drawn(uncachedSampler(model), conditions, options));
    },
  );

  test("does not depend on the conditions beside it", () => {
    const all = draw({ guidance: 2.5, samples: 2 });
    scope(() => {
      for (let i = 0; i < 4; i++)
        expect(draw({ guidance: 2.5, samples: 2 }, conditions.slice(0, i, i + 1))).toEqual(
          all.slice(32 * i, 32 * (i + 1)),
        );
    });
  });

  test("is refused where the model knows no images without a condition, and for what is no scale", () => {
    const plain = cachedSampler(sharpModel(1));
    expect(() => plain.sample(conditions, { guidance: 2 })).toThrow(
      new RangeError(
        "guidance 2 needs a model that was also trained without conditions, and this one was not; train with stage2.conditionDropout=0.1, or leave guidance at 1",
      ),
    );
    expect(() => draw({ guidance: -1 })).toThrow(
      "guidance must be a finite number of at least 0, but is -1; 1 is none",
    );
  });

  test("the absent condition is no condition that can be given", () => {
    scope(() => {
      expect(() => draw({}, nothing())).toThrow(
        "condition token 16 of condition 0 lies outside the codebook of 16 codes",
      );
    });
  });
});

describe("a blend", () => {
  const shared = { noise: { kind: "shared" }, seed: 4 } as const;

  test("begins at the one condition and ends at the other, to the bit", () => {
    expect(draw({ ...shared, blend: { conditions: others, share: 0 } })).toEqual(draw(shared));
    expect(draw({ ...shared, blend: { conditions: others, share: 1 } })).toEqual(draw(shared, others));
  });

  test("in between draws from the mixed logits", () => {
    scope(() => {
      const [a, b] = [conditions.slice(0, 0, 1), others.slice(0, 0, 1)];
      const expected = byHand(sampleSeed(4, [], 0), (before, t) =>
        logits(a, before, t)
          .mul(0.7)
          .add(logits(b, before, t).mul(0.3)),
      );
      expect(draw({ ...shared, blend: { conditions: b, share: 0.3 } }, a)).toEqual(expected);
    });
  });

  test("goes together with guidance", () => {
    const options = { ...shared, guidance: 2, blend: { conditions: others, share: 0.4 } };
    expect(draw(options)).toEqual(drawn(uncachedSampler(model), conditions, options));
    expect(draw(options)).not.toEqual(draw({ ...options, guidance: 1 }));
  });

  test("wants a partner for each condition", () => {
    scope(() => {
      const blend = { conditions: others.slice(0, 0, 2), share: 0.5 };
      expect(() => draw({ blend })).toThrow(
        "blend.conditions must be one for each of the 4 conditions, but there are 2",
      );
      expect(() => draw({ blend: { conditions: others, share: 2 } })).toThrow(
        "blend.share must lie in [0, 1], but is 2",
      );
    });
  });
});
