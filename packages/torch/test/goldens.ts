import { fileURLToPath } from "node:url";
import { readSafetensors, type Tensor, unscoped } from "@iqvae/torch";
import { expect } from "vitest";

/** The path of a file that tools/goldens.py wrote. */
export const goldenPath = (name: string): string => fileURLToPath(new URL(`goldens/${name}`, import.meta.url));

/** The tensors of one case by role: `input`, `output`, `gradient`, …; each by index or name. */
export type GoldenCase = ReadonlyMap<string, ReadonlyMap<string, Tensor>>;

/** All cases of a golden file, whose tensors are named `CASE/ROLE/INDEX`. */
export function readGoldens(file: string): Map<string, GoldenCase> {
  const cases = new Map<string, Map<string, Map<string, Tensor>>>();
  const tensors = unscoped(() => readSafetensors(goldenPath(file)).tensors);
  for (const [path, tensor] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [name, role, index] = path.split("/") as [string, string, string];
    const roles = cases.get(name) ?? new Map<string, Map<string, Tensor>>();
    cases.set(name, roles.set(role, (roles.get(role) ?? new Map<string, Tensor>()).set(index, tensor)));
  }
  return cases;
}

export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

export const FLOAT32: Tolerance = { relative: 2e-5, absolute: 1e-5 };
/** One step of bfloat16's 8 bits, and what sums make of it. */
export const BFLOAT16: Tolerance = { relative: 2e-2, absolute: 2e-2 };

const numbers = (x: Tensor): number[] => Array.from(x.detach().to("float64").read("float64"));

/** Equal dtype and shape; integers and booleans exactly, fractions within the tolerance, infinities and NaN alike. */
export function expectClose(actual: Tensor, expected: Tensor, what: string, tolerance = FLOAT32): void {
  expect(`${what}: ${actual}`).toBe(`${what}: ${expected}`);
  const got = numbers(actual);
  const exact = !/float/.test(expected.dtype);
  numbers(expected).forEach((wanted, i) => {
    const value = got[i]!;
    if (Object.is(value, wanted) || value === wanted) return;
    const allowed = exact ? 0 : tolerance.absolute + tolerance.relative * Math.abs(wanted);
    if (!(Math.abs(value - wanted) <= allowed)) expect.fail(`${what}: element ${i} is ${value}, expected ${wanted}`);
  });
}
