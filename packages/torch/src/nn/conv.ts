import { COUNT, expectKind, expectOptions, FLAG, oneOf, SIZE, sides, TENSOR } from "../given.ts";
import { ops } from "../ops.ts";
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";
import { parameter, uniformByFanIn } from "./parameter.ts";

type Pair = readonly [number, number];

/** What convolutions can be told besides their channels and kernel. `Size` is a number, or in two dimensions also a pair. */
export interface ConvOptions<Size> {
  /** Default 1. */
  readonly stride?: Size;
  /** Zeros on each side, default 0. `"same"` keeps the size, at stride 1; `"valid"` is 0. */
  readonly padding?: Size | "same" | "valid";
  /** Steps between the elements of the kernel, default 1. */
  readonly dilation?: Size;
  /** Inputs and outputs are cut into so many parts, which do not see each other. Default 1. */
  readonly groups?: number;
  /** Default true. */
  readonly bias?: boolean;
}

const WORDS = ["same", "valid"];
const OPTIONS_1D = { stride: COUNT, padding: oneOf(WORDS, SIZE), dilation: COUNT, groups: COUNT, bias: FLAG };
const [COUNTS, SIZES] = [sides(COUNT), sides(SIZE)];
const OPTIONS = { ...OPTIONS_1D, stride: COUNTS, padding: oneOf(WORDS, SIZES), dilation: COUNTS };
const TRANSPOSE_OPTIONS = { ...OPTIONS, padding: SIZES, outputPadding: SIZES };

/** @throws RangeError when channels do not divide into groups */
function checkGroups(name: string, inputs: number, outputs: number, groups: number): void {
  for (const channels of [inputs, outputs])
    if (channels % groups !== 0)
      throw new RangeError(`${name}: ${channels} channels do not divide into ${groups} groups`);
}

/**
 * Padding in numbers: what stands on each side, and what `"same"` with an even kernel needs more at the end.
 *
 * @throws RangeError for `"same"` with a stride
 */
function paddingOf<Size extends readonly number[]>(
  name: string,
  padding: Size | "same" | "valid",
  { kernel, stride, dilation }: Record<"kernel" | "stride" | "dilation", Size>,
): { sides: number[]; more: number[] } {
  if (typeof padding !== "string") return { sides: [...padding], more: padding.map(() => 0) };
  if (padding === "same" && stride.some((step) => step !== 1))
    throw new RangeError(`${name}: padding "same" needs a stride of 1, but the stride is [${stride.join(", ")}]`);
  const totals = kernel.map((side, i) => (padding === "same" ? dilation[i]! * (side - 1) : 0));
  return { sides: totals.map((total) => Math.floor(total / 2)), more: totals.map((total) => total % 2) };
}

/** Zeros at the end of the last dimensions; most convolutions need none. */
function padEnds(x: Tensor, more: readonly number[]): Tensor {
  if (more.every((count) => count === 0)) return x;
  // Pairs of (before, after), the last dimension first.
  return ops.aten.constant_pad_nd(
    x,
    [...more].reverse().flatMap((count) => [0, count]),
  );
}

function pair(sides: number | Pair): Pair {
  return Array.isArray(sides) ? (sides as unknown as Pair) : [sides as number, sides as number];
}

const one = (size: number): readonly [number] => [size];

/** 1-D convolution: `[B, in, L] → [B, out, L′]`. */
export class Conv1d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly #stride: number;
  readonly #sides: number[];
  readonly #more: number[];
  readonly #dilation: number;
  readonly #groups: number;

  constructor(inputs: number, outputs: number, kernel: number, options: ConvOptions<number> = {}) {
    super();
    expectKind("Conv1d", { inputs, outputs }, SIZE);
    expectKind("Conv1d", { kernel }, COUNT);
    expectOptions("Conv1d", options, OPTIONS_1D);
    const { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true } = options;
    checkGroups("Conv1d", inputs, outputs, groups);
    const fanIn = (inputs / groups) * kernel;
    this.weight = parameter([outputs, inputs / groups, kernel], uniformByFanIn(fanIn));
    this.bias = bias ? parameter([outputs], uniformByFanIn(fanIn)) : null;
    const shape = { kernel: one(kernel), stride: one(stride), dilation: one(dilation) };
    const { sides, more } = paddingOf("Conv1d", typeof padding === "number" ? one(padding) : padding, shape);
    [this.#stride, this.#sides, this.#more] = [stride, sides, more];
    [this.#dilation, this.#groups] = [dilation, groups];
  }

  forward(x: Tensor): Tensor {
    const padded = padEnds(x, this.#more);
    return ops.aten.conv1d(padded, this.weight, this.bias, this.#stride, this.#sides, this.#dilation, this.#groups);
  }
}

/** 2-D convolution: `[B, in, H, W] → [B, out, H′, W′]`. The weight lies in `channels_last`, which keeps the layout fast. */
export class Conv2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly #stride: Pair;
  readonly #sides: number[];
  readonly #more: number[];
  readonly #dilation: Pair;
  readonly #groups: number;

  /** @param kernel one number for a square, or height and width; the same goes for the options */
  constructor(inputs: number, outputs: number, kernel: number | Pair, options: ConvOptions<number | Pair> = {}) {
    super();
    expectKind("Conv2d", { inputs, outputs }, SIZE);
    expectKind("Conv2d", { kernel }, COUNTS);
    expectOptions("Conv2d", options, OPTIONS);
    const { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true } = options;
    checkGroups("Conv2d", inputs, outputs, groups);
    const [height, width] = pair(kernel);
    const fanIn = (inputs / groups) * height * width;
    const memoryFormat = "channels_last";
    this.weight = parameter([outputs, inputs / groups, height, width], uniformByFanIn(fanIn), { memoryFormat });
    this.bias = bias ? parameter([outputs], uniformByFanIn(fanIn)) : null;
    const shape = { kernel: pair(kernel), stride: pair(stride), dilation: pair(dilation) };
    const { sides, more } = paddingOf("Conv2d", typeof padding === "string" ? padding : pair(padding), shape);
    [this.#stride, this.#sides, this.#more] = [shape.stride, sides, more];
    [this.#dilation, this.#groups] = [shape.dilation, groups];
  }

  forward(x: Tensor): Tensor {
    expectKind("Conv2d.forward", { x }, TENSOR);
    const padded = padEnds(x, this.#more);
    const { bias } = this;
    // Without images, libtorch 1.13 fails where weights are in channels_last.
    const weight = padded.numel() > 0 ? this.weight : this.weight.contiguous();
    if (this.#groups === 1 && this.#dilation.every((step) => step === 1))
      return ops.fused.conv2d(padded, weight, bias, this.#stride, this.#sides);
    return ops.aten.conv2d(padded, weight, bias, this.#stride, this.#sides, this.#dilation, this.#groups);
  }
}

/** What {@link ConvTranspose2d} can be told besides its channels and kernel. */
export interface ConvTransposeOptions extends Omit<ConvOptions<number | Pair>, "padding"> {
  /** How much is cut off on each side of the result, default 0. */
  readonly padding?: number | Pair;
  /** Added to one side of the result's size, where several input sizes would give the same. Default 0. */
  readonly outputPadding?: number | Pair;
}

/** The transpose of {@link Conv2d}, which makes planes larger: `[B, in, H, W] → [B, out, H′, W′]`. */
export class ConvTranspose2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly #stride: Pair;
  readonly #padding: Pair;
  readonly #outputPadding: Pair;
  readonly #dilation: Pair;
  readonly #groups: number;

  /** @param kernel one number for a square, or height and width; the same goes for the options */
  constructor(inputs: number, outputs: number, kernel: number | Pair, options: ConvTransposeOptions = {}) {
    super();
    expectKind("ConvTranspose2d", { inputs, outputs }, SIZE);
    expectKind("ConvTranspose2d", { kernel }, COUNTS);
    expectOptions("ConvTranspose2d", options, TRANSPOSE_OPTIONS);
    const { stride = 1, padding = 0, outputPadding = 0, dilation = 1, groups = 1, bias = true } = options;
    checkGroups("ConvTranspose2d", inputs, outputs, groups);
    const [height, width] = pair(kernel);
    // PyTorch takes the second dimension for the inputs, which are the outputs here.
    const fanIn = (outputs / groups) * height * width;
    this.weight = parameter([inputs, outputs / groups, height, width], uniformByFanIn(fanIn));
    this.bias = bias ? parameter([outputs], uniformByFanIn(fanIn)) : null;
    [this.#stride, this.#padding, this.#outputPadding] = [pair(stride), pair(padding), pair(outputPadding)];
    [this.#dilation, this.#groups] = [pair(dilation), groups];
  }

  forward(x: Tensor): Tensor {
    const { weight, bias } = this;
    const sizes = [this.#stride, this.#padding, this.#outputPadding] as const;
    const settings = [...sizes, this.#groups, this.#dilation] as const;
    // On the CPU, libtorch 1.13 takes the channels of bfloat16 for each other.
    const isRounded = weight.dtype === "bfloat16" && weight.device === "cpu";
    if (!isRounded) return ops.aten.conv_transpose2d(x, weight, bias, ...settings);
    return ops.aten.conv_transpose2d(x.float(), weight.float(), bias?.float() ?? null, ...settings).bfloat16();
  }
}
