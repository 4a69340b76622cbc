import type { SampleOptions } from "@iqvae/runtime";
import {
  getNumThreads,
  liveTensors,
  manualSeed,
  noGrad,
  ops,
  scope,
  setNumThreads,
  type Tensor,
  tensor,
  unscoped,
} from "@iqvae/torch";
import { describe, expect, test, vi } from "vitest";
import { CachedTransformer } from "../../src/sampling/decoder.ts";
import type { TokenSampler } from "../../src/sampling/options.ts";
import type { Recorder } from "../../src/sampling/recording.ts";
import { cachedSampler, uncachedSampler } from "../../src/sampling/sampler.ts";
import { imagesAtOnce, sequencesAtOnce } from "../../src/support/at-once.ts";
import { drawn, SHAPE, sharpModel } from "./support.ts";

const model = sharpModel(1);
const conditions = unscoped(() => ops.aten.randint(SHAPE.conditionCodes, [4, 9], { dtype: "int64" }));
const draw = (sampler: TokenSampler, options: SampleOptions = {}, given: Tensor = conditions): number[] =>
  drawn(sampler, given, options);
const row = (tokens: readonly number[], i: number): number[] => tokens.slice(i * 16, (i + 1) * 16);

/** What every sampler promises. */
describe.each([
  ["cached, float32", cachedSampler(model)],
  ["cached, bfloat16", cachedSampler(model, { precision: "bfloat16" })],
  ["uncached", uncachedSampler(model)],
] as const)("%s", (_, sampler) => {
  test("equal seeds draw equal tokens, other seeds and numbers others", () => {
    const tokens = draw(sampler, { samples: 3, seed: 5 });
    expect(tokens.length).toBe(4 * 3 * 16);
    expect(tokens.every((token) => token >= 0 && token < SHAPE.imageCodes)).toBe(true);
    expect(draw(sampler, { samples: 3, seed: 5 })).toEqual(tokens);
    expect(draw(sampler, { samples: 3, seed: 6 })).not.toEqual(tokens);
    const rows = Array.from({ length: 12 }, (_, i) => row(tokens, i).join());
    expect(new Set(rows).size).toBe(12);
  });

  test("the default generator plays no part and is left alone", () => {
    manualSeed(1);
    const tokens = draw(sampler);
    const next = ops.aten.rand([1]).item();
    manualSeed(2);
    expect(draw(sampler)).toEqual(tokens);
    manualSeed(1);
    expect(ops.aten.rand([1]).item()).toBe(next);
  });

  test("top-k 1 draws the same whatever the seed: the likeliest", () => {
    expect(draw(sampler, { topK: 1, seed: 1 })).toEqual(draw(sampler, { topK: 1, seed: 2 }));
    expect(draw(sampler, { topP: 1e-6, seed: 1 })).toEqual(draw(sampler, { topK: 1 }));
  });

  test("options that are undefined, and a top-k of null, are the defaults", () => {
    const names = ["temperature", "topK", "topP", "guidance", "samples", "firstSample", "seed", "noise", "batch"];
    const unsaid = Object.fromEntries(names.map((name) => [name, undefined]));
    expect(draw(sampler, { ...unsaid, onProgress: undefined } as object)).toEqual(draw(sampler));
    expect(draw(sampler, { topK: null })).toEqual(draw(sampler));
  });

  test("progress grows to 1", () => {
    const shares: number[] = [];
    draw(sampler, { batch: 2, onProgress: (share) => shares.push(share) });
    expect(shares.length).toBe(2 * 16);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(shares.at(-1)).toBe(1);
  });

  test("leaves no tensors behind", () => {
    draw(sampler);
    const before = liveTensors();
    draw(sampler, { topK: 3, topP: 0.9, batch: 3 });
    expect(liveTensors()).toBe(before);
  });
});

describe("cached draws what uncached draws", () => {
  test.each([
    {},
    { temperature: 0.7 },
    { topK: 5 },
    { topP: 0.8, temperature: 1.3 },
    { topK: 10, topP: 0.9, samples: 3 },
    { samples: 3, batch: 5 },
  ])("%o", (options) => {
    for (let seed = 0; seed < 5; seed++) {
      const expected = draw(uncachedSampler(model), { ...options, seed });
      expect(draw(cachedSampler(model), { ...options, seed })).toEqual(expected);
    }
  });

  test.each([
    { ...SHAPE, conditionTokens: 1 },
    { ...SHAPE, imageTokens: 1 },
    { ...SHAPE, conditionTokens: 33, imageTokens: 35 }, // more than one block of noise, no multiple of a vector
  ])("%o", (shape) => {
    const other = sharpModel(2, shape);
    scope(() => {
      const given = ops.aten.randint(shape.conditionCodes, [3, shape.conditionTokens], { dtype: "int64" });
      expect(draw(cachedSampler(other), { samples: 2 }, given)).toEqual(
        draw(uncachedSampler(other), { samples: 2 }, given),
      );
    });
  });

  test("in bfloat16 for the most part", () => {
    const options = { samples: 8, temperature: 0.5 };
    const expected = draw(cachedSampler(model), options);
    const firsts = (tokens: readonly number[]): number[] => tokens.filter((_, i) => i % 16 === 0);
    const got = firsts(draw(cachedSampler(model, { precision: "bfloat16" }), options));
    const equal = firsts(expected).filter((token, i) => token === got[i]).length;
    expect(equal).toBeGreaterThanOrEqual(30); // of 32
  });
});

describe.each(["float32", "bfloat16"] as const)(
  "%s: a sample depends on its seed, condition and number alone",
  (precision) => {
    const sampler = cachedSampler(model, { precision });
    const options = { samples: 3, seed: 8 };
    const all = draw(sampler, options);

    test("not on how the work is cut", () => {
      for (const batch of [1, 2, 5, 12]) expect(draw(sampler, { ...options, batch })).toEqual(all);
    });

    test("not on the conditions beside it", () => {
      scope(() => {
        for (let i = 0; i < 4; i++)
          expect(draw(sampler, options, conditions.slice(0, i, i + 1))).toEqual(all.slice(i * 48, (i + 1) * 48));
        const twice = draw(sampler, options, ops.aten.cat([conditions.slice(0, 2, 3), conditions.slice(0, 2, 3)]));
        expect(twice).toEqual([...all.slice(96, 144), ...all.slice(96, 144)]);
      });
    });

    test("not on the samples before it", () => {
      const last = draw(sampler, { seed: 8, samples: 1, firstSample: 2 });
      for (let i = 0; i < 4; i++) expect(row(last, i)).toEqual(row(all, i * 3 + 2));
    });
  },
);

test.each(["float32", "bfloat16"] as const)(
  "%s: libtorch's operators, called or recorded as on a GPU, agree with the kernel",
  (precision) => {
    const dispose = vi.fn();
    const recorder: Recorder = vi.fn((_, body) => ({ replay: body, dispose }));
    noGrad(() =>
      scope(() => {
        const of = tensor(BigInt64Array.of(1n, 0n, 3n));
        const ways = [{}, { fused: false }, { fused: false, recorder }];
        const decoders = ways.map((options) => new CachedTransformer(model, precision, options));
        const decodings = decoders.map((decoder) => decoder.start(conditions, of));
        for (let t = 0; t < 5; t++) {
          const token = tensor(BigInt64Array.of(BigInt(t), BigInt(2 * t), 7n));
          const [kernel, ...others] = decoders.map((decoder, i) => decoder.next(decodings[i]!, token, t));
          for (const [i, other] of others.entries()) {
            const apart = kernel!.sub(other).abs().max().item() / kernel!.abs().max().item();
            expect(apart, `token ${t}, way ${i + 1}`).toBeLessThan(precision === "float32" ? 1e-5 : 0.05);
          }
        }
        decodings.forEach((decoding, i) => {
          decoders[i]!.end(decoding);
        });
        const many = ops.aten.zeros([65], { dtype: "int64" });
        expect(decoders[2]!.start(conditions, many).recorded).toBeNull();
      }),
    );
    expect(recorder).toHaveBeenCalledOnce();
    expect(dispose).toHaveBeenCalledOnce();
  },
);

test("a GPU predicts many sequences side by side, and fewer of a large model", () => {
  expect([1, 1e9].map((bytes) => sequencesAtOnce("cpu", bytes))).toEqual([32, 32]);
  const small = 2 * 4 * 6 * 192 * 128;
  const large = 2 * 4 * 24 * 1024 * 512;
  expect([1, small, large, 1e12].map((bytes) => sequencesAtOnce("cuda:0", bytes))).toEqual([256, 256, 39, 32]);
  expect([32, 64, 128, 256].map((size) => imagesAtOnce("cuda:0", size))).toEqual([256, 256, 64, 32]);
  expect([imagesAtOnce("cuda:0", 256, 16), imagesAtOnce("cpu", 32, 16), imagesAtOnce("cpu", 256)]).toEqual([
    16, 16, 32,
  ]);
});

test("the logits of a condition have the same bits on any number of threads", () => {
  const before = getNumThreads();
  const wide = sharpModel(4, { ...SHAPE, conditionTokens: 64 }, { width: 192, heads: 6, layers: 2 });
  try {
    scope(() => {
      const own = ops.aten.randint(SHAPE.conditionCodes, [2, 64], { dtype: "int64" });
      const read = (threads: number): Tensor => {
        setNumThreads(threads);
        return noGrad(() => new CachedTransformer(wide, "float32").start(own, tensor(BigInt64Array.of(0n, 1n))).logits);
      };
      const one = read(1);
      // The product of libtorch is another on two threads, which is why it is not asked for.
      for (const threads of [2, 3]) expect(read(threads).equal(one), `${threads} threads`).toBe(true);
    });
  } finally {
    setNumThreads(before);
  }
});

test("samples follow the model's own distribution", () => {
  const small = sharpModel(3, { ...SHAPE, imageCodes: 6, imageTokens: 2 });
  scope(() => {
    const given = conditions.slice(0, 0, 1);
    const counts = new Float64Array(36);
    const tokens = draw(cachedSampler(small), { samples: 4000, batch: 500 }, given);
    for (let i = 0; i < tokens.length; i += 2) counts[tokens[i]! * 6 + tokens[i + 1]!]! += 1;
    noGrad(() => {
      for (let a = 0; a < 6; a++) {
        const logits = small.forward(given, tensor(Int32Array.of(a), { shape: [1, 1] }).to("int64"));
        const [first, second] = [0, 1].map((t) => logits.select(1, t).softmax(-1).read("float32")) as [
          Float32Array,
          Float32Array,
        ];
        for (let b = 0; b < 6; b++) {
          const p = first[a]! * second[b]!;
          const slack = 4.5 * Math.sqrt((p * (1 - p)) / 4000) + 1e-3;
          expect(Math.abs(counts[a * 6 + b]! / 4000 - p)).toBeLessThan(slack);
        }
      }
    });
  });
});

describe("refuses", () => {
  const refused =
    (options: SampleOptions, given: Tensor = conditions) =>
    () =>
      cachedSampler(model).sample(given, options);

  test.each([
    [{ temperature: 0 }, "temperature must be a finite number above 0, but is 0; for the likeliest image take topK: 1"],
    [{ topK: 0 }, "topK must be a whole number of at least 1, but is 0; null allows all codes"],
    [{ topP: 0 }, "topP must lie in (0, 1], but is 0; 1 allows all codes, 0.9 leaves out the unlikely tail"],
    [{ topP: 1.1 }, "topP must lie in (0, 1], but is 1.1; 1 allows all codes, 0.9 leaves out the unlikely tail"],
    [{ samples: 0 }, "samples must be a whole number of at least 1, but is 0"],
    [{ batch: 1.5 }, "batch must be a whole number of at least 1, but is 1.5"],
    [{ firstSample: -1 }, "firstSample must be a whole number of at least 0, but is -1"],
    [{ seed: 0.5 }, "seed must be a whole number, but is 0.5"],
  ])("%o", (options, message) => {
    expect(refused(options)).toThrow(new RangeError(message));
  });

  test("conditions of another shape, and tokens that do not exist", () => {
    scope(() => {
      expect(refused({}, conditions.slice(1, 0, 8))).toThrow(
        "sample() takes conditions as int64 [N, 9] for this model, but got Tensor(int64 [4, 8]); flatten the grid of condition tokens: indices.flatten(1)",
      );
      expect(refused({}, conditions.add(16))).toThrow(
        /^condition token \d+ of condition 0 lies outside the codebook of 16 codes; encode the condition with the stage-1 model of this run$/,
      );
    });
  });
});
