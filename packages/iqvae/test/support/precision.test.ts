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

  test("a model is drawn with in float32 on any processor, and on a GPU in the precision of its training", () => {
    for (const trained of ["bfloat16", "float32"] as const) {
      expect(samplingPrecision(trained, "cpu")).toBe("float32");
      expect(samplingPrecision(trained, "cuda:1")).toBe(trained);
    }
  });
});
