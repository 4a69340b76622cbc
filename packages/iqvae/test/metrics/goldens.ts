import { fileURLToPath } from "node:url";
import { readSafetensors, type Tensor, tensor, unscoped } from "@iqvae/torch";
import type { FixedWeights } from "../../src/features/weights.ts";

const tensors = goldensOf("metrics.safetensors");

/** A tensor that tools/goldens_metrics.py wrote. */
export function golden(name: string): Tensor {
  const found = tensors.get(name);
  if (found === undefined) throw new Error(`no golden '${name}'; there are ${[...tensors.keys()].join(", ")}`);
  return found;
}

/** Its elements. */
export function numbers(x: Tensor): number[] {
  return Array.from(x.detach().to("float64").read("float64"));
}

/** The largest difference of two tensors' elements, as a share of the second's largest. */
export function relativeError(actual: Tensor, expected: Tensor): number {
  const [a, b] = [numbers(actual), numbers(expected)];
  if (a.length !== b.length) throw new Error(`${actual} against ${expected}`);
  const largest = Math.max(...b.map(Math.abs));
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / largest;
}

/** `count` numbers in [−1, 1), as `uniform` of tools/hashed_weights.py makes them. */
function uniform(count: number, seed: number): Float32Array {
  const start = Math.imul(seed, 0x9e3779b9);
  return Float32Array.from({ length: count }, (_, i) => {
    let x = (i + start) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad) >>> 0;
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97) >>> 0;
    x = (x ^ (x >>> 15)) >>> 0;
    return x / 2 ** 31 - 1;
  });
}

/** RGB bytes `[1, height, width, 3]` of slopes, edges and curves, as `picture` of tools/hashed_weights.py makes them. */
export function picture(height: number, width: number): Tensor {
  const bytes = Uint8Array.from({ length: height * width * 3 }, (_, i) => {
    const [y, x, c] = [Math.floor(i / (3 * width)), Math.floor(i / 3) % width, i % 3];
    return 5 * y + (c + 1) * (3 * x + ((x * y) >> 3));
  });
  return tensor(bytes, { shape: [1, height, width, 3] });
}

/** The tensors of another file of goldens. */
export function goldensOf(name: string): ReadonlyMap<string, Tensor> {
  return unscoped(() => readSafetensors(goldenPath(name)).tensors);
}

/** Where a file of goldens lies. */
export function goldenPath(name: string): string {
  return fileURLToPath(new URL(`../goldens/${name}`, import.meta.url));
}

/** Weights by the formula that the goldens were computed with. */
export function hashedWeights(shapes: ReadonlyMap<string, readonly number[]>): FixedWeights {
  const names = [...shapes.keys()].sort();
  const made = unscoped(() => names.map((name, i) => [name, hashed(name, shapes.get(name)!, i + 1)] as const));
  return { tensors: new Map(made), metadata: {}, digest: "0".repeat(64) };
}

function hashed(name: string, shape: readonly number[], seed: number): Tensor {
  const [count, fanIn] = [shape.reduce((a, b) => a * b, 1), shape.slice(1).reduce((a, b) => a * b, 1)];
  const values = tensor(uniform(count, seed), { shape });
  if (shape.length > 1) {
    const scaled = values.mul(Math.fround(Math.sqrt(6 / fanIn)));
    if (name.startsWith("lin")) return scaled.abs();
    return name.startsWith("dsn") ? scaled.mul(Math.fround(0.01)) : scaled;
  }
  return /running_var$|bn\d*\.weight$/.test(name) ? values.div(2).add(1) : values.div(10);
}
