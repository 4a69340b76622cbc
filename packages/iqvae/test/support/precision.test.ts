import { describe, expect, test } from "vitest";
import { fastPrecision, samplingPrecision } from "../../src/support/precision.ts";

const emulated = { gpus: 0, processor: { bfloat16: [] } };
const native = { gpus: 0, processor: { bfloat16: ["avx512_bf16"] } };
const gpu = { gpus: 1, processor: { bfloat16: [] } };

describe("precision", () => {
  test.each([
    ["a processor without bfloat16", emulated, "float32"],
    ["a processor with it", native, "bfloat16"],
    ["a GPU", gpu, "bfloat16"],
  ] as const)("the fast one on %s", (_, machine, expected) => {
    expect(fastPrecision(machine)).toBe(expected);
  });

  test("a model trained in bfloat16 is sampled in float32 where bfloat16 is emulated, and one trained in float32 always", () => {
    expect(samplingPrecision("bfloat16", emulated)).toBe("float32");
    expect(samplingPrecision("bfloat16", native)).toBe("bfloat16");
    expect(samplingPrecision("bfloat16", gpu)).toBe("bfloat16");
    for (const machine of [emulated, native, gpu]) expect(samplingPrecision("float32", machine)).toBe("float32");
  });
});
