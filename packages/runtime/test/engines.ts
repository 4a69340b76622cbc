import { inferenceMode, manualSeed, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import { cachedSampler, loadConfig, type TokenSampleOptions } from "iqvae";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { plainCondition } from "../src/conditions/index.ts";
import type { Engine, EngineFactory } from "../src/engines/engine.ts";
import type { TokenSampleOptions as PlainOptions, TokenCounts } from "../src/sampling/options.ts";
import { type Question, type Sequences, sampleTokens } from "../src/sampling/sample.ts";
import { type Example, exampleOf, someCondition } from "./support.ts";

/** Tensors of tokens as rows of plain numbers. */
const rowsOf = (tokens: Tensor): Int32Array[] => {
  const columns = tokens.shape.at(-1)!;
  const all = Int32Array.from(tokens.contiguous().read("int64"), Number);
  return Array.from({ length: all.length / columns }, (_, i) => all.slice(i * columns, (i + 1) * columns));
};

/** What every engine promises, for one model: it agrees with libtorch. @param settings of the preset that are others */
export function engineContract(
  name: string,
  create: EngineFactory,
  preset: string,
  settings: readonly string[] = [],
): void {
  describe([name, preset, ...settings].join(", "), () => {
    let example: Example;
    let engine: Engine;
    let counts: TokenCounts;
    let conditions: Int32Array[];

    beforeAll(async () => {
      example = await exampleOf(preset, { unconditional: true, config: await loadConfig(preset, settings) });
      engine = await create(example.model, example.weights, example.read);
      const { transformer } = example;
      counts = { ...transformer.tokens, absent: transformer.absent };
      conditions = scope(() => rowsOf(randomTokens(counts.conditionCodes, [3, counts.conditionTokens])));
    });
    afterAll(async () => {
      await engine.release();
    });

    const randomTokens = (codes: number, shape: number[]) => ops.aten.randint(codes, shape, { dtype: "int64" });
    const int64 = (rows: readonly Int32Array[]): Tensor =>
      tensor(Int32Array.from(rows.flatMap((row) => [...row])), { shape: [rows.length, rows[0]!.length] }).to("int64");
    const draw = async (given: readonly Int32Array[], options: PlainOptions): Promise<number[]> => {
      const drawing = sampleTokens(counts, given, options);
      let step = drawing.next();
      while (!step.done) step = drawing.next(await engine.predict(step.value));
      return step.value.flatMap((tokens) => [...tokens]);
    };

    test("logits are libtorch's within 1e-4 of the largest, step by step, for sequences of several conditions", async () => {
      const { imageTokens: T, imageCodes: K } = counts;
      const images = scope(() => rowsOf(randomTokens(K, [3, T])));
      const expected = scope(() =>
        inferenceMode(() =>
          example.transformer.forward(int64(conditions), int64(images).slice(1, 0, T - 1)).read("float32"),
        ),
      );
      const of = Int32Array.of(2, 0, 1, 0, 2);
      const sequences: Sequences = { conditions, of };
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      let apart = 0;
      for (let t = 0; t < T; t++) {
        const last = t === 0 ? new Int32Array() : of.map((row) => images[row]![t - 1]!);
        const logits = await engine.predict({ sequences, t, last } as Question);
        expect(logits.length).toBe(of.length * K);
        of.forEach((row, s) => {
          for (let k = 0; k < K; k++)
            apart = Math.max(apart, Math.abs(logits[s * K + k]! - expected[(row * T + t) * K + k]!));
        });
      }
      expect(apart / largest).toBeLessThan(1e-4);
      expect(largest).toBeGreaterThan(0.5);
    });

    test("goes on with some sequences of a batch, and answers for them as before", async () => {
      const of = Int32Array.of(2, 0, 1, 0, 2);
      const sequences: Sequences = { conditions, of };
      const K = counts.imageCodes;
      const tokens = (t: number) => of.map((_, s) => (7 * t + 3 * s) % K);
      const ask = async (t: number, rows: Int32Array) => {
        const last = t === 0 ? new Int32Array() : rows.map((s) => tokens(t)[s]!);
        return (await engine.predict({ sequences, t, last } as Question)).slice();
      };
      const all = of.map((_, s) => s);
      const expected: Float32Array[] = [];
      for (let t = 0; t < 5; t++) expected.push(await ask(t, all));
      const rowsOf = (t: number, rows: Int32Array) =>
        Float32Array.from([...rows].flatMap((s) => [...expected[t]!.subarray(s * K, (s + 1) * K)]));
      const close = (logits: Float32Array, others: Float32Array) => {
        expect(logits.length).toBe(others.length);
        const apart = logits.reduce((most, value, i) => Math.max(most, Math.abs(value - others[i]!)), 0);
        expect(apart).toBeLessThan(1e-4);
      };
      for (let t = 0; t < 2; t++) await ask(t, all);
      await engine.keep(Int32Array.of(0, 3, 4));
      close(await ask(2, Int32Array.of(0, 3, 4)), rowsOf(2, Int32Array.of(0, 3, 4)));
      close(await ask(3, Int32Array.of(0, 3, 4)), rowsOf(3, Int32Array.of(0, 3, 4)));
      await engine.keep(Int32Array.of(1)); // of those that are left
      close(await ask(4, Int32Array.of(3)), rowsOf(4, Int32Array.of(3)));
    });

    const sets: readonly (readonly [string, TokenSampleOptions])[] = [
      ["plain", { samples: 2 }],
      ["temperature, top-k and top-p", { temperature: 0.9, topK: 100, topP: 0.95, samples: 2 }],
      ["guidance", { guidance: 3 }],
      ["noise between two seeds", { noise: { kind: "between", to: 9, share: 0.3 }, samples: 2 }],
      ["guidance and top-p, in small batches", { guidance: 1.5, topP: 0.8, samples: 3, batch: 2 }],
    ];
    test.each(preset === "tiny" || preset === "start" ? sets : sets.slice(0, 1))(
      "draws libtorch's tokens: %s",
      async (_, options) => {
        const expected = scope(() =>
          rowsOf(
            cachedSampler(example.transformer)
              .sample(int64(conditions), { ...options, seed: 5 })
              .flatten(0, 1),
          ),
        );
        const { blend: _blend, fixed: _fixed, ...plain } = options;
        expect(await draw(conditions, { ...plain, seed: 5 })).toEqual(expected.flatMap((row) => [...row]));
      },
    );

    test("draws libtorch's tokens: given tokens and a blend", async () => {
      const others = [conditions[1]!, conditions[2]!, conditions[0]!];
      const fixed = conditions.map((_, i) =>
        Int32Array.from({ length: counts.imageTokens }, (_, t) => (t % 3 === i ? i : -1)),
      );
      const expected = scope(() =>
        rowsOf(
          cachedSampler(example.transformer)
            .sample(int64(conditions), { fixed: int64(fixed), blend: { conditions: int64(others), share: 0.4 } })
            .flatten(0, 1),
        ),
      );
      const own = await draw(conditions, { fixed, blend: { conditions: others, share: 0.4 } });
      expect(own).toEqual(expected.flatMap((row) => [...row]));
    });

    test("a sample does not depend on those beside it", async () => {
      const two = conditions.slice(0, 2);
      const all = await draw(two, { samples: 2, seed: 2 });
      const T = counts.imageTokens;
      expect(await draw(two, { samples: 2, seed: 2, batch: 3 })).toEqual(all);
      const last = await draw([conditions[1]!], { samples: 1, firstSample: 1, seed: 2 });
      expect(last).toEqual(all.slice(3 * T));
    });

    test("condition tokens are libtorch's", async () => {
      const { condition, size } = example.model;
      const plain = plainCondition(condition, size);
      for (let seed = 0; seed < 3; seed++) {
        const sample = someCondition(example, seed);
        plain.check(sample);
        const expected = scope(() => {
          const loaded = tensor(sample, { shape: [1, ...plain.shape] });
          return rowsOf(inferenceMode(() => example.iqvae.encodeCondition(loaded).flatten(1)))[0]!;
        });
        expect([...(await engine.encode(plain.planesOf(sample)))]).toEqual([...expected]);
      }
    });

    test("pixels are libtorch's: at most 1 byte in 10,000 is off, by 1", async () => {
      // Enough to tell, on any processor: 0.8 of 10,000 were off, and of half as many other bytes 1.004 on one with AVX2.
      const images = Math.ceil(720_000 / (3 * example.model.size ** 2));
      manualSeed(0);
      const tokens = scope(() => rowsOf(randomTokens(counts.imageCodes, [images, counts.imageTokens])));
      let [off, all, most] = [0, 0, 0];
      for (const [i, row] of tokens.entries()) {
        const condition = conditions[i % conditions.length]!;
        const expected = scope(() => {
          const grid = int64([row]).reshape([1, ...example.model.grids.image]);
          const given = int64([condition]).reshape([1, ...example.model.grids.condition]);
          return inferenceMode(() => example.iqvae.decodeImage(grid, given).read("uint8"));
        });
        const pixels = await engine.decode(row, condition);
        expect(pixels.length).toBe(expected.length);
        pixels.forEach((byte, i) => {
          most = Math.max(most, Math.abs(byte - expected[i]!));
          off += Number(byte !== expected[i]);
        });
        all += pixels.length;
      }
      expect(most).toBeLessThanOrEqual(1);
      expect(off / all).toBeLessThanOrEqual(1e-4);
    });
  });
}
