import { toFloat32, type Weight, type Weights } from "../weights.ts";
import { type Arena, THEN } from "./memory.ts";

/** Outputs that a kernel computes side by side. */
const PANEL = 16;

/** `[rows, inputs]` → `[rows, outputs]`, with weights in the kernels' memory. */
export class Product {
  readonly inputs: number;
  readonly outputs: number;
  readonly #arena: Arena;
  readonly #weight: number;
  readonly #bias: number;

  /**
   * @param weight `[outputs, …]`
   * @param order for each input its place in a row of `weight`; default: the same
   */
  constructor(arena: Arena, weight: Weight, bias: Weight | undefined, order?: Int32Array) {
    const outputs = weight.shape[0]!;
    const values = toFloat32(weight);
    const inputs = values.length / outputs;
    const panels = Math.ceil(outputs / PANEL);
    this.#arena = arena;
    this.inputs = inputs;
    this.outputs = outputs;
    this.#weight = arena.allocate(panels * inputs * PANEL);
    this.#bias = arena.allocate(panels * PANEL);
    const packed = arena.floats(this.#weight, panels * inputs * PANEL).fill(0);
    for (let o = 0; o < outputs; o++) {
      const to = Math.floor(o / PANEL) * inputs * PANEL + (o % PANEL);
      for (let i = 0; i < inputs; i++) packed[to + i * PANEL] = values[o * inputs + (order?.[i] ?? i)]!;
    }
    const biases = arena.floats(this.#bias, panels * PANEL).fill(0);
    if (bias !== undefined) biases.set(toFloat32(bias));
  }

  /** A product of the layer `name`; of convolutions in the order in which pixels lie: `[kh, kw, inputs]`. */
  static of(arena: Arena, weights: Weights, name: string): Product {
    const weight = weights.get(`${name}.weight`)!;
    return new Product(arena, weight, weights.get(`${name}.bias`), pixelOrder(weight.shape));
  }

  run(x: number, y: number, rows: number, then: (typeof THEN)[keyof typeof THEN] = THEN.nothing): void {
    this.#arena.kernels.linear(x, rows, this.inputs, this.#weight, this.#bias, y, this.outputs, then);
  }
}

/** Where the number for a place of the kernel and a channel stands in a row `[channels, kh, kw]`. */
function pixelOrder(shape: readonly number[]): Int32Array | undefined {
  if (shape.length !== 4) return undefined;
  const [, channels, height, width] = shape as [number, number, number, number];
  const area = height * width;
  return Int32Array.from({ length: channels * area }, (_, i) => (i % channels) * area + Math.floor(i / channels));
}
