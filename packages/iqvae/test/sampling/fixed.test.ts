import { sampleSeed } from "@iqvae/runtime";
import { liveTensors, noGrad, ops, scope, type Tensor, tensor, unscoped } from "@iqvae/torch";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { likelihoods, tokenSurprise } from "../../src/sampling/likelihood.ts";
import { cachedSampler, uncachedSampler } from "../../src/sampling/sampler.ts";
import { slidingSampler } from "../../src/sampling/sliding.ts";
import { LibtorchNoise } from "./libtorch-noise.ts";
import { drawn, SHAPE, sharpModel } from "./support.ts";

const model = sharpModel(1);
const conditions = unscoped(() => ops.aten.randint(SHAPE.conditionCodes, [3, 9], { dtype: "int64" }));
const int64 = (values: readonly number[], shape: number[]): Tensor =>
  tensor(Int32Array.from(values), { shape }).to("int64");

const numbers = (tokens: Tensor): number[] => Array.from(tokens.read("int64"), Number);

describe("given tokens", () => {
  test("none given is plain sampling, to the bit", () => {
    scope(() => {
      const fixed = ops.aten.full([3, 16], -1, { dtype: "int64" });
      const options = { samples: 2, seed: 3 };
      expect(drawn(cachedSampler(model), conditions, { ...options, fixed })).toEqual(
        drawn(cachedSampler(model), conditions, options),
      );
    });
  });

  test("come back as they are, in every sample, and the others are those of the uncached sampler", async () => {
    const token = fc.oneof(fc.constant(-1), fc.integer({ min: 0, max: SHAPE.imageCodes - 1 }));
    await fc.assert(
      fc.property(fc.array(token, { minLength: 48, maxLength: 48 }), fc.nat(1000), (given, seed) => {
        scope(() => {
          const options = { samples: 2, seed, batch: 4, fixed: int64(given, [3, 16]) };
          const tokens = drawn(cachedSampler(model), conditions, options);
          tokens.forEach((value, i) => {
            const wanted = given[Math.floor(i / 32) * 16 + (i % 16)]!;
            if (wanted >= 0) expect(value).toBe(wanted);
          });
          expect(drawn(uncachedSampler(model), conditions, options)).toEqual(tokens);
        });
      }),
      { numRuns: 20 },
    );
  });

  test("a plain sample, given in part, is completed to itself", () => {
    scope(() => {
      const plain = drawn(cachedSampler(model), conditions, { seed: 7 });
      const fixed = int64(
        plain.map((value, i) => (i % 3 === 0 ? value : -1)),
        [3, 16],
      );
      expect(drawn(cachedSampler(model), conditions, { seed: 7, fixed })).toEqual(plain);
    });
  });

  test("of another shape, or no codes, are refused", () => {
    scope(() => {
      const draw = (fixed: Tensor) => () => cachedSampler(model).sample(conditions, { fixed });
      expect(draw(int64(Array(16).fill(-1), [1, 16]))).toThrow(
        "fixed must be int64 [3, 16] here, a token or −1 for each place of each condition's image, but got Tensor(int64 [1, 16])",
      );
      expect(draw(ops.aten.full([3, 16], 24, { dtype: "int64" }))).toThrow(
        "fixed holds 24, which is neither −1 nor one of the 24 codes",
      );
    });
  });
});

describe("the likelihood of tokens", () => {
  test("is the sum of the log-softmax under teacher forcing", () => {
    scope(() => {
      const images = ops.aten.randint(SHAPE.imageCodes, [3, 16], { dtype: "int64" });
      const found = likelihoods(tokenSurprise(model, conditions, images));
      const codes = images.read("int64");
      const logits = noGrad(() => model.forward(conditions, images.slice(1, 0, 15))).read("float32");
      for (let i = 0; i < 3; i++) {
        let nats = 0;
        for (let t = 0; t < 16; t++) {
          const row = Array.from(logits.subarray((i * 16 + t) * 24, (i * 16 + t + 1) * 24));
          const largest = Math.max(...row);
          const total = largest + Math.log(row.reduce((sum, value) => sum + Math.exp(value - largest), 0));
          const surprise = total - row[Number(codes[i * 16 + t])]!;
          expect(found[i]!.map[t]).toBeCloseTo(surprise, 4);
          nats += surprise;
        }
        expect(found[i]!.nats).toBeCloseTo(nats, 3);
        expect(found[i]!.bits).toBeCloseTo(nats / Math.log(2), 3);
        expect(found[i]!.bitsPerToken).toBeCloseTo(nats / Math.log(2) / 16, 4);
      }
    });
  });

  test("sums to one over all images of a small model", () => {
    const small = sharpModel(5, { ...SHAPE, imageCodes: 4, imageTokens: 3 });
    scope(() => {
      const all = Array.from({ length: 64 }, (_, i) => [i >> 4, (i >> 2) & 3, i & 3]).flat();
      const one = conditions.slice(0, 0, 1).expand([64, 9]).contiguous();
      const total = likelihoods(tokenSurprise(small, one, int64(all, [64, 3]))).reduce(
        (sum, { nats }) => sum + Math.exp(-nats),
        0,
      );
      expect(total).toBeCloseTo(1, 5);
    });
  });
});

describe("a sliding window", () => {
  const square = { rows: 4, columns: 4 };
  const trained = { condition: { rows: 3, columns: 3 }, image: { rows: 4, columns: 4 } };
  const aligned = sharpModel(6, { ...SHAPE, conditionTokens: 16 });
  const grids = { condition: square, image: square };

  test("over the trained size is plain sampling", () => {
    const options = { samples: 2, seed: 4 };
    expect(drawn(slidingSampler(model, trained, trained), conditions, options)).toEqual(
      drawn(cachedSampler(model), conditions, options),
    );
  });

  test("predicts each token from the window around it, and from nothing else", () => {
    const wanted = { condition: { rows: 6, columns: 9 }, image: { rows: 6, columns: 9 } };
    scope(() => {
      const large = ops.aten.randint(SHAPE.conditionCodes, [1, 54], { dtype: "int64" });
      const sampler = slidingSampler(aligned, grids, wanted);
      const tokens = drawn(sampler, large, { seed: 2 });
      expect(new Set(tokens).size).toBeGreaterThan(8);
      const noise = new LibtorchNoise(sampleSeed(2, numbers(large), 0), SHAPE.imageCodes);
      for (let t = 0; t < 54; t++) {
        const [row, column] = [Math.floor(t / 9), t % 9];
        // taming's rule: two before it, unless an edge is nearer
        const top = row <= 2 ? 0 : row >= 4 ? 2 : row - 2;
        const left = column <= 2 ? 0 : column >= 7 ? 5 : column - 2;
        const window = (all: readonly number[]) =>
          Array.from({ length: 16 }, (_, i) => all[(top + (i >> 2)) * 9 + left + (i & 3)]!);
        const local = (row - top) * 4 + column - left;
        const seen = int64(window(numbers(large)), [1, 16]);
        const before = int64(window(tokens).slice(0, local), [1, local]);
        const logits = noGrad(() => aligned.forward(seen, before).select(1, local));
        expect(tokens[t], `${row}, ${column}`).toBe(logits.add(noise.next()).argmax(-1).item());
      }
    });
  });

  test("knows given tokens and guidance, and leaves nothing behind", () => {
    const guided = sharpModel(6, { ...SHAPE, conditionTokens: 16 }, { unconditional: true });
    const wanted = { condition: { rows: 5, columns: 4 }, image: { rows: 5, columns: 4 } };
    const sampler = slidingSampler(guided, grids, wanted);
    scope(() => {
      const large = ops.aten.randint(SHAPE.conditionCodes, [2, 20], { dtype: "int64" });
      const fixed = ops.aten.full([2, 20], -1, { dtype: "int64" });
      fixed.select(1, 7).fill_(11);
      const options = { guidance: 2, samples: 2, fixed };
      const tokens = drawn(sampler, large, options);
      for (let i = 0; i < 4; i++) expect(tokens[i * 20 + 7]).toBe(11);
      const before = liveTensors();
      drawn(sampler, large, options);
      expect(liveTensors()).toBe(before);
    });
  });

  test("refuses grids that are too small or do not go together", () => {
    const of = (rows: number, columns: number) => ({ rows, columns });
    expect(() => slidingSampler(model, grids, grids)).toThrow(
      "slidingSampler: the trained grids have 16 and 16 tokens, but the model has 9 of a condition and 16 of an image",
    );
    expect(() => slidingSampler(aligned, grids, { condition: of(3, 4), image: of(3, 4) })).toThrow(
      "slidingSampler draws rows of at least the trained 4 tokens, but 3 are wanted",
    );
    expect(() => slidingSampler(aligned, grids, { condition: of(4, 5), image: of(4, 6) })).toThrow(
      "slidingSampler: image and condition must grow alike, but columns grow from 4 to 6 tokens and from 4 to 5",
    );
  });
});
