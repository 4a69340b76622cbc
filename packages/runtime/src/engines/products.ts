import { toFloat32, type Weight, type Weights } from "../weights.ts";
import { type Arena, THEN, type Then } from "./memory.ts";

/** Outputs that a kernel computes side by side. */
const PANEL = 16;
/** The same with weights of 16 bits. */
const WIDE = 32;

/** What `linear16` wants to be told: see there. */
const [KEEP, LIFT] = [0x8fffe000, 0x2000];

/**
 * `[rows, inputs]` → `[rows, outputs]`, with weights in the kernels' memory: those of 8 and 16 bits as such, others as float32. Those of
 * 16 bits become float32 where the kernel does not pay, in convolutions, whose many rows share what is unpacked.
 */
export class Product {
  readonly inputs: number;
  readonly outputs: number;
  readonly #run: (x: number, y: number, rows: number, then: Then) => void;

  /**
   * @param weight `[outputs, …]`
   * @param order for each input its place in a row of `weight`; default: the same
   */
  constructor(arena: Arena, weight: Weight, bias: Weight | undefined, order?: Int32Array) {
    this.outputs = weight.shape[0]!;
    this.inputs = weight.data.length / this.outputs;
    const added = padded(arena, bias && toFloat32(bias), this.outputs);
    const { kernels } = arena;
    const { inputs, outputs } = this;
    const halves = weight.type === "f16" && staysHalf(weight) ? enlarged(weight.data) : undefined;
    if (weight.type === "int8") {
      const w = packBytes(arena, weight.data, [outputs, inputs], order);
      const scales = padded(arena, weight.scales, outputs);
      // Sums of so many products stay below 2³¹.
      const most = Math.min(32_767, Math.floor((2 ** 31 - 1) / (127 * inputs)));
      this.#run = (x, y, rows, then) => {
        const mark = arena.mark;
        const scratch = arena.allocate(rows * (4 * Math.ceil(inputs / 8) + 1));
        kernels.linear8(x, rows, inputs, w, scales, added, y, outputs, then, most, scratch);
        arena.free(mark);
      };
    } else if (halves !== undefined) {
      const w = packHalves(arena, halves, [outputs, inputs]);
      this.#run = (x, y, rows, then) => {
        const mark = arena.mark;
        kernels.linear16(x, rows, inputs, w, added, y, outputs, then, arena.allocate(WIDE * inputs), KEEP, LIFT);
        arena.free(mark);
      };
    } else {
      const w = packFloats(arena, toFloat32(weight), [outputs, inputs], order);
      this.#run = (x, y, rows, then) => kernels.linear(x, rows, inputs, w, added, y, outputs, then);
    }
  }

  /** A product of the layer `name`; of convolutions in the order in which pixels lie: `[kh, kw, inputs]`. */
  static of(arena: Arena, weights: Weights, name: string): Product {
    const weight = weights.get(`${name}.weight`)!;
    return new Product(arena, weight, weights.get(`${name}.bias`), pixelOrder(weight.shape));
  }

  run(x: number, y: number, rows: number, then: Then = THEN.nothing): void {
    this.#run(x, y, rows, then);
  }
}

function staysHalf({ type, shape }: Weight): boolean {
  return type === "f16" && shape.length === 2;
}

/** What a weight takes in the kernels' memory, but for what panels are filled up with. */
export function bytesOf(weight: Weight): number {
  return weight.type === "int8" || staysHalf(weight) ? weight.data.byteLength : 4 * weight.data.length;
}

/** Numbers filled up with 0 to whole panels. */
function padded(arena: Arena, numbers: Float32Array | undefined, outputs: number): number {
  const length = Math.ceil(outputs / WIDE) * WIDE;
  const at = arena.allocate(length);
  arena
    .floats(at, length)
    .fill(0)
    .set(numbers ?? []);
  return at;
}

/** `[outputs, inputs]` → `[⌈outputs/16⌉, inputs, 16]` */
function packFloats(
  arena: Arena,
  values: Float32Array,
  [outputs, inputs]: readonly [number, number],
  order: Int32Array | undefined,
): number {
  const length = Math.ceil(outputs / PANEL) * inputs * PANEL;
  const at = arena.allocate(length);
  const packed = arena.floats(at, length).fill(0);
  for (let o = 0; o < outputs; o++) {
    const to = Math.floor(o / PANEL) * inputs * PANEL + (o % PANEL);
    for (let i = 0; i < inputs; i++) packed[to + i * PANEL] = values[o * inputs + (order?.[i] ?? i)]!;
  }
  return at;
}

/** Halves 2¹⁰ times as large, none of which is subnormal; `undefined` if they do not fit. */
function enlarged(halves: Uint16Array): Uint16Array | undefined {
  const large = new Uint16Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const [sign, magnitude] = [halves[i]! & 0x8000, halves[i]! & 0x7fff];
    if (magnitude >= 21 << 10) return undefined;
    if (magnitude >= 1 << 10) large[i] = sign | (magnitude + (10 << 10));
    else if (magnitude === 0) large[i] = sign;
    else {
      // A whole number of 2⁻²⁴, of which the highest bit becomes the exponent.
      const digits = 31 - Math.clz32(magnitude);
      large[i] = sign | ((digits << 10) + (magnitude << (10 - digits)));
    }
  }
  return large;
}

/** `[outputs, inputs]` → `[⌈outputs/32⌉, inputs, 32]`, each eight outputs in the order 0, 4, 1, 5, 2, 6, 3, 7 */
function packHalves(arena: Arena, halves: Uint16Array, [outputs, inputs]: readonly [number, number]): number {
  const length = Math.ceil(outputs / WIDE) * inputs * WIDE;
  const at = arena.allocate(length / 2);
  const packed = arena.halves(at, length).fill(0);
  for (let o = 0; o < outputs; o++) {
    const place = (o & 24) + 2 * (o & 3) + ((o >> 2) & 1);
    const to = Math.floor(o / WIDE) * inputs * WIDE + place;
    for (let i = 0; i < inputs; i++) packed[to + i * WIDE] = halves[o * inputs + i]!;
  }
  return at;
}

/** `[outputs, inputs]` → `[⌈outputs/16⌉, ⌈inputs/2⌉, 16, 2]` */
function packBytes(
  arena: Arena,
  values: Int8Array,
  [outputs, inputs]: readonly [number, number],
  order: Int32Array | undefined,
): number {
  const pairs = Math.ceil(inputs / 2);
  const length = Math.ceil(outputs / PANEL) * pairs * 2 * PANEL;
  const at = arena.allocate(length / 4);
  const packed = arena.bytes(at, length).fill(0);
  for (let o = 0; o < outputs; o++) {
    const to = Math.floor(o / PANEL) * pairs * 2 * PANEL + 2 * (o % PANEL);
    for (let i = 0; i < inputs; i++)
      packed[to + (i >> 1) * 2 * PANEL + (i & 1)] = values[o * inputs + (order?.[i] ?? i)]!;
  }
  return at;
}

/** Where the number for a place of the kernel and a channel stands in a row `[channels, kh, kw]`. */
function pixelOrder(shape: readonly number[]): Int32Array | undefined {
  if (shape.length !== 4) return undefined;
  const [, channels, height, width] = shape as [number, number, number, number];
  const area = height * width;
  return Int32Array.from({ length: channels * area }, (_, i) => (i % channels) * area + Math.floor(i / channels));
}
