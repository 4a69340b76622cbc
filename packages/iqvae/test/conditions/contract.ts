import { manualSeed, ops, type Tensor, tensor } from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Condition,
  type ConditionSpec,
  conditionFor,
  conditionPlanes,
  conditionShape,
} from "../../src/conditions/index.ts";

/** What the contract needs to know of a kind. */
export interface Case {
  readonly name: string;
  readonly spec: ConditionSpec;
  readonly size: number;
  /** Samples as a data set would hold them. */
  readonly samples: fc.Arbitrary<Uint8Array>;
  /** Bytes that mean nothing, and what is said of them. */
  readonly wrong: readonly { readonly sample: Uint8Array; readonly message: string }[];
  /** The loss when nothing is known, by hand, for logits of 0. */
  readonly ignorance: (samples: readonly Uint8Array[]) => number;
  /** What is left of the loss when all is known. Default: nothing. */
  readonly residue?: number;
}

const BATCH = 3;

/** What every kind of condition promises. */
export function conditionContract({ name, spec, size, samples, wrong, ignorance, residue = 0 }: Case): void {
  describe(name, () => {
    const condition = conditionFor(spec, size);
    const shape = conditionShape(spec, size);
    const batches = fc.array(samples, { minLength: BATCH, maxLength: BATCH });
    const load = (batch: readonly Uint8Array[]) =>
      tensor(Uint8Array.from(batch.flatMap((one) => [...one])), { shape: [batch.length, ...shape] });
    const bytes = (one: Tensor) => one.contiguous().read("uint8");
    const everyBatch = (body: (batch: readonly Uint8Array[], loaded: Tensor) => void, numRuns = 25) =>
      fc.assert(
        fc.property(batches, (batch) => body(batch, load(batch))),
        { numRuns },
      );

    test("says its shapes, and keeps to them", () => {
      expect(condition.shape).toEqual(shape);
      expect(condition.planes).toEqual(conditionPlanes(spec, size));
      everyBatch((_, loaded) => {
        const planes = condition.toPlanes(loaded);
        expect([planes.shape, planes.dtype]).toEqual([
          [BATCH, condition.inputChannels, ...condition.planes],
          "float32",
        ]);
        const logits = condition.toLogits(loaded);
        expect([logits.shape, logits.dtype]).toEqual([
          [BATCH, condition.outputChannels, ...condition.planes],
          "float32",
        ]);
        const back = condition.fromLogits(logits);
        expect([back.shape, back.dtype]).toEqual([[BATCH, ...shape], "uint8"]);
        expect(condition.loss(logits, loaded).shape).toEqual([]);
      }, 2);
    });

    test("has the same planes with and without libtorch", () => {
      everyBatch((batch, loaded) => {
        const planes = condition.toPlanes(loaded).permute([0, 2, 3, 1]).contiguous().read("float32"); // [B, H, W, C]
        const length = planes.length / BATCH;
        batch.forEach((sample, i) => {
          const own = condition.planesOf(sample);
          expect(own.length).toBe(length);
          const apart = own.reduce((most, value, at) => Math.max(most, Math.abs(value - planes[i * length + at]!)), 0);
          expect(apart).toBeLessThan(2e-6);
        });
      }, 5);
    });

    test("reads back from logits that are sure what went in", () => {
      everyBatch((batch, loaded) => {
        const back = bytes(condition.fromLogits(condition.toLogits(loaded)));
        batch.forEach((sample, i) => {
          expect([...back.subarray(i * sample.length, (i + 1) * sample.length)]).toEqual([...sample]);
        });
      }, 25);
    });

    test("reads back from logits in bfloat16 and channels_last too", () => {
      everyBatch((_, loaded) => {
        const logits = condition.toLogits(loaded).contiguous({ memory_format: "channels_last" });
        expect(bytes(condition.fromLogits(logits))).toEqual(bytes(loaded));
        expect(condition.fromLogits(logits.to("bfloat16")).shape).toEqual([BATCH, ...shape]);
        expect(Number.isFinite(condition.loss(logits.to("bfloat16"), loaded).item())).toBe(true);
      }, 3);
    });

    test("gives planes that tell different samples apart", () => {
      everyBatch(([a, b]) => {
        const [first, second] = [a!, b!].map((one) => condition.toPlanes(load([one])));
        const same = a!.every((byte, i) => byte === b![i]);
        expect(first!.eq(second!).all().item() === 1).toBe(same);
      });
    });

    test("has a loss that is known when nothing is, vanishes when all is, and falls in between", () => {
      everyBatch((batch, loaded) => {
        const right = condition.toLogits(loaded);
        const at = (share: number) => condition.loss(right.mul(share), loaded).item();
        expect(at(0)).toBeCloseTo(ignorance(batch), 2);
        expect(at(1)).toBeCloseTo(residue, 3);
        // Where all logits are 0, there is nothing to learn.
        if (at(0) > 1e-3) expect(at(0.5)).toBeLessThan(at(0));
      }, 8);
    });

    test("has a loss whose gradient leads to the sample", () => {
      manualSeed(3);
      everyBatch((_, loaded) => {
        const logits = ops.aten.randn([BATCH, condition.outputChannels, ...condition.planes]).mul(0.1);
        logits.requiresGrad = true;
        const loss = condition.loss(logits, loaded);
        loss.backward();
        const step = logits.detach().sub(logits.grad!, { alpha: 0.1 });
        expect(condition.loss(step, loaded).item()).toBeLessThan(loss.item());
      }, 3);
    });

    test("accepts what a decoder gives for noise", () => {
      manualSeed(4);
      const noise = ops.aten.randn([8, condition.outputChannels, ...condition.planes]);
      const read = bytes(condition.fromLogits(noise));
      const length = read.length / 8;
      for (let i = 0; i < 8; i++) {
        const sample = read.subarray(i * length, (i + 1) * length);
        expect(condition.draw(sample, size).length).toBe(size * size * 3);
        expect(typeof condition.describe(sample)).toBe("string");
      }
    });

    test("draws a picture of any size, equal ones for equal samples only", () => {
      fc.assert(
        fc.property(samples, fc.constantFrom(32, 64, 128), (sample, side) => {
          const picture = condition.draw(sample, side);
          expect(picture.length).toBe(side * side * 3);
          expect(condition.draw(sample.slice(), side)).toEqual(picture);
          expect(condition.describe(sample)).not.toContain("\n");
        }),
        { numRuns: 20 },
      );
      // Not all differences can be seen at 32 pixels, but most samples look different.
      const pictures = fc.sample(samples, { numRuns: 20, seed: 7 });
      const distinct = (all: readonly Uint8Array[]) =>
        new Set(all.map((one) => Buffer.from(one).toString("base64"))).size;
      expect(distinct(pictures.map((sample) => condition.draw(sample, 128)))).toBeGreaterThan(distinct(pictures) / 2);
    });

    test("measures fidelity: 1 for equal samples, in [0, 1] for others", () => {
      fc.assert(
        fc.property(samples, samples, (truth, guess) => {
          for (const value of Object.values(condition.fidelity(truth, truth))) expect(value).toBeCloseTo(1, 9);
          for (const value of Object.values(condition.fidelity(truth, guess))) {
            expect(value).toBeGreaterThanOrEqual(0);
            expect(value).toBeLessThanOrEqual(1);
          }
        }),
        { numRuns: 40 },
      );
    });

    test("is the same for equal samples, bit for bit", () => {
      everyBatch((_, loaded) => {
        for (const method of ["toPlanes", "toLogits"] as const) {
          expect(condition[method](loaded).eq(condition[method](loaded.clone())).all().item()).toBe(1);
        }
      }, 3);
    });

    test("accepts what a data set holds, and refuses what means nothing", () => {
      fc.assert(
        fc.property(samples, (sample) => condition.check(sample)),
        { numRuns: 40 },
      );
      expect(() => condition.check(new Uint8Array(1))).toThrow(
        `a condition of kind "${spec.kind}" is ${shape.reduce((a, b) => a * b)} bytes [${shape.join(", ")}], but 1 came.`,
      );
      for (const { sample, message } of wrong) {
        expect(() => condition.check(sample)).toThrow(message);
      }
    });

    test("takes no other number of bytes and nothing but bytes, whatever is done with them", () => {
      const [right] = fc.sample(samples, 1);
      const uses = [
        condition.check,
        condition.describe,
        (sample: Uint8Array) => condition.draw(sample, size),
        (sample: Uint8Array) => condition.fidelity(sample, right!),
        (sample: Uint8Array) => condition.fidelity(right!, sample),
      ];
      for (const use of uses) {
        expect(() => use(right!.slice(1))).toThrow(/^a condition of kind .* came\.$/);
        for (const none of [0.5, -1, Number.NaN]) {
          const numbers = Float32Array.from(right!).fill(none, 1, 2) as unknown as Uint8Array;
          expect(() => use(numbers)).toThrow(`byte 1 of a condition of kind "${spec.kind}" is ${none}, but bytes are`);
        }
      }
      expect(() => condition.check(new Uint8ClampedArray(right!) as unknown as Uint8Array)).not.toThrow();
    });
  });
}

/** A condition of a case, for tests of its own. */
export function conditionOf({ spec, size }: Pick<Case, "spec" | "size">): Condition {
  return conditionFor(spec, size);
}
