import { expect, test } from "vitest";

test("arrays of numbers are compared by type and value, however many there are", () => {
  const length = 10_000_000;
  const [one, other] = [new Float32Array(length), new Float32Array(length)];
  expect({ weights: one }).toEqual({ weights: other });
  other[length - 1] = 1;
  expect(one.subarray(length - 9)).not.toEqual(other.subarray(length - 9));
  expect(one.subarray(0, 4)).not.toEqual(one.subarray(0, 5));
  expect(Uint8Array.of(0, 0, 128, 63)).not.toEqual(Float32Array.of(1));
  expect(Float32Array.of(-0)).not.toEqual(Float32Array.of(0));
  expect(Float32Array.of(Number.NaN)).toEqual(Float32Array.of(Number.NaN));
});
