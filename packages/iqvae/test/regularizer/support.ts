import { readFileSync } from "node:fs";
import { Generator, grad, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import { expect } from "vitest";
import type { Distance } from "../../src/regularizer/distances.ts";
import type { Estimator } from "../../src/regularizer/estimator.ts";

export type Rows = readonly (readonly number[])[];

/** What every case of goldens/gw.json has. */
export interface Reference {
  readonly zX: Rows;
  readonly zC: Rows;
  readonly value: number;
  readonly gradX: Rows;
  readonly gradC: Rows;
}

type Spaces = Pick<Reference, "zX" | "zC" | "value">;
type Goldens = {
  paired: Reference & { distance: Distance };
  sliced: Reference & { theta: Rows };
  entropic: Reference & { distance: Distance; epsilon: number; plan: Rows };
  exact: Spaces & { distance: Distance };
  shuffled: Spaces & { distance: Distance };
};

const lines = readFileSync(new URL("../goldens/gw.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n");

/** References by PyTorch and POT, written by tools/goldens_gw.py. */
export function goldens<K extends keyof Goldens>(suite: K): Goldens[K][] {
  return lines.map((line) => JSON.parse(line)).filter((golden) => golden.suite === suite);
}

export function matrix(rows: Rows, dtype: "float32" | "float64" = "float64"): Tensor {
  return tensor(rows, { dtype });
}

/** Normal numbers in float64. */
export function gaussian(seed: number, ...shape: number[]): Tensor {
  return ops.aten.randn(shape, { generator: new Generator(seed), dtype: "float64", device: "cpu" });
}

/** A rotation (or reflection) of ℝ^d, from the QR decomposition of a random matrix. */
export function rotation(seed: number, d: number): Tensor {
  return ops.aten.linalg_qr(gaussian(seed, d, d))[0]!;
}

export function withGradients(estimate: (zX: Tensor, zC: Tensor) => Tensor, zX: Tensor, zC: Tensor) {
  const inputs = [zX.detach().clone(), zC.detach().clone()];
  for (const z of inputs) z.requiresGrad = true;
  const value = estimate(inputs[0]!, inputs[1]!);
  const [gradX, gradC] = grad([value], inputs);
  return { value: value.item(), gradX: gradX!, gradC: gradC! };
}

/** The largest difference between two tensors, over the largest magnitude of the second. */
export function relativeError(came: Tensor, wanted: Tensor): number {
  expect(came.shape).toEqual(wanted.shape);
  const difference = came.to("float64").sub(wanted.to("float64")).abs().max().item();
  return difference / Math.max(wanted.abs().max().item(), 1e-30);
}

/** Compares value and both gradients with a reference. */
export function expectReference(
  estimate: (zX: Tensor, zC: Tensor) => Tensor,
  reference: Reference,
  tolerance: number,
  dtype: "float32" | "float64" = "float64",
): void {
  const came = withGradients(estimate, matrix(reference.zX, dtype), matrix(reference.zC, dtype));
  expect(Math.abs(came.value - reference.value) / reference.value).toBeLessThan(tolerance);
  expect(relativeError(came.gradX, matrix(reference.gradX))).toBeLessThan(tolerance);
  expect(relativeError(came.gradC, matrix(reference.gradC))).toBeLessThan(tolerance);
}

/** The gradient of `f` at `z` by central differences. */
export function numericalGradient(f: (z: Tensor) => number, z: Tensor, step = 1e-5): Tensor {
  const at = z.toTypedArray() as Float64Array;
  const moved = (i: number, by: number) =>
    scope(() =>
      f(
        tensor(
          at.map((value, k) => (k === i ? value + by : value)),
          { shape: z.shape },
        ),
      ),
    );
  const slopes = Float64Array.from(at, (_, i) => (moved(i, step) - moved(i, -step)) / (2 * step));
  return tensor(slopes, { shape: z.shape });
}

/** The value of an estimator with a generator of its own, so that repeated calls draw the same. */
export function estimateOf(estimator: Estimator, zX: Tensor, zC: Tensor, seed = 7): number {
  return scope(() => estimator(zX, zC, new Generator(seed)).item());
}
