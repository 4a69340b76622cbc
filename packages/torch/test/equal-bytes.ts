import { expect } from "vitest";

/**
 * Arrays of equal bytes are equal. vitest compares element by element, which takes seconds for the million of a picture or of weights; it
 * still does where bytes differ.
 */
function haveEqualBytes(one: unknown, other: unknown): true | undefined {
  if (!ArrayBuffer.isView(one) || !ArrayBuffer.isView(other) || one.constructor !== other.constructor) return undefined;
  const [a, b] = [one, other].map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength));
  return a!.equals(b!) || undefined;
}

// vitest keeps them for the life of the process, whose files come one after another.
const known = Symbol.for("iqvae: equal bytes are known");
if (!Object.hasOwn(globalThis, known)) {
  expect.addEqualityTesters([haveEqualBytes]);
  Object.defineProperty(globalThis, known, { value: true });
}
