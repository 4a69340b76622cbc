import fc from "fast-check";
import { expect, test } from "vitest";
import { Arena, THEN } from "../src/engines/memory.ts";
import { Product } from "../src/engines/products.ts";
import { toFloat32, type Weight } from "../src/weights.ts";

/** Numbers whose products and sums are rounded. */
const some = (i: number, seed: number) => Math.fround(Math.sin(i * 12.9898 + seed));

interface Case {
  readonly outputs: number;
  readonly inputs: number;
  readonly rows: number;
  /** What all inputs are multiplied by. */
  readonly size: number;
  readonly after: (typeof THEN)[keyof typeof THEN];
  /** Bits of the first weights; others follow from them. */
  readonly bits: readonly number[];
}

const arena = await Arena.create(2 ** 20);

/** Bits of the products with weights of 16 bits, and with the same as float32. */
function products({ outputs, inputs, rows, size, after, bits }: Case): Int32Array[] {
  const { mark } = arena;
  const shape = [outputs, inputs];
  const largest = Math.max(...bits.map((each) => each & 0x7fff)) + 1;
  const data = Uint16Array.from({ length: outputs * inputs }, (_, i) => {
    const given = bits[i];
    return given ?? (i % 3 === 0 ? 0x8000 : 0) | (((i * 2_654_435_761) >>> 7) % largest);
  });
  const halves: Weight = { shape, type: "f16", data };
  const biases = Float32Array.from({ length: outputs }, (_, o) => some(o, 2));
  const x = arena.store(Float32Array.from({ length: rows * inputs }, (_, i) => some(i, 1) * size));
  const found = [halves, { shape, type: "f32", data: toFloat32(halves) } as const].map((weight) => {
    const product = new Product(arena, weight, { shape: [outputs], type: "f32", data: biases });
    const y = arena.store(Float32Array.from({ length: rows * outputs }, (_, i) => some(i, 3)));
    product.run(x, y, rows, after);
    return new Int32Array(arena.floats(y, rows * outputs).slice().buffer);
  });
  arena.free(mark);
  return found;
}

test("weights of 16 bits give the products of float32 to the bit, subnormal and large ones included", () => {
  // Below 1,024 they are subnormal; from 64 on, 0x5400, they do not fit the kernel.
  const magnitude = fc.oneof(
    fc.integer({ min: 0, max: 0x7bff }),
    fc.integer({ min: 0, max: 1030 }),
    fc.constantFrom(0x53ff, 0x5400),
  );
  const bit16 = fc
    .record({ magnitude, sign: fc.constantFrom(0, 0x8000) })
    .map(({ magnitude, sign }) => sign | magnitude);
  fc.assert(
    fc.property(
      fc.record({
        outputs: fc.integer({ min: 1, max: 70 }),
        inputs: fc.integer({ min: 1, max: 20 }),
        rows: fc.integer({ min: 1, max: 13 }),
        // Those from 2²³ on cannot be multiplied by 2¹⁰².
        size: fc.constantFrom(1, 1e-30, 1e6, 2 ** 23, 1e20, 1e30),
        after: fc.constantFrom(THEN.nothing, THEN.gelu, THEN.add),
        bits: fc.array(bit16, { minLength: 1, maxLength: 60 }),
      }),
      (given) => {
        const [own, expected] = products(given);
        expect(own).toEqual(expected);
      },
    ),
    { seed: 1, numRuns: 400 },
  );
});

test.each([0.5, 2 ** 30])(
  "a row of a product does not depend on how many there are, to the bit (inputs of %d)",
  (size) => {
    const all = { outputs: 45, inputs: 17, size, after: THEN.nothing, bits: [0x3555, 3, 0x1234] };
    for (const which of [0, 1]) {
      const first = products({ ...all, rows: 1 })[which]!;
      for (let rows = 2; rows <= 9; rows++) expect(products({ ...all, rows })[which]!.subarray(0, 45)).toEqual(first);
    }
  },
);

test("sums of products with weights of 8 bits do not overflow where all of them are the largest", () => {
  const [rows, outputs, inputs] = [3, 3, 1001];
  const scales = new Float32Array(outputs).fill(1 / 127);
  const data = new Int8Array(outputs * inputs).fill(127);
  const product = new Product(arena, { shape: [outputs, inputs], type: "int8", data, scales }, undefined);
  const x = arena.store(new Float32Array(rows * inputs).fill(1));
  const y = arena.allocate(rows * outputs);
  product.run(x, y, rows);
  for (const sum of arena.floats(y, rows * outputs)) expect(sum).toBeCloseTo(inputs, 1);
});
