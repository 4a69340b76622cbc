import { noGrad } from "../modes.ts";
import { ops } from "../ops.ts";
import { scope, unscoped } from "../scope.ts";
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";

/** A trained tensor of the given shape, filled by `initialize` in place. It outlives every scope. */
export function parameter(shape: readonly number[], initialize: (tensor: Tensor) => void): Tensor {
  return unscoped(() => {
    const made = ops.aten.empty(shape);
    scope(() => noGrad(() => initialize(made)));
    made.requiresGrad = true;
    return made;
  });
}

/** A tensor that is part of the state but not trained. It outlives every scope; what `make` needed on the way does not. */
export function buffer(make: () => Tensor): Tensor {
  return unscoped(() => scope(make));
}

/** PyTorch's default for linear and convolutional layers: uniform in ±1/√fanIn. */
function uniformByFanIn(fanIn: number): (tensor: Tensor) => void {
  const bound = 1 / Math.sqrt(fanIn);
  return (tensor) => tensor.uniform_(-bound, bound);
}

const ones = (tensor: Tensor): void => void tensor.fill_(1);
const zeros = (tensor: Tensor): void => void tensor.fill_(0);

/** `y = x Wᵀ + b`: `[…, in] → […, out]`. */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(inputs: number, outputs: number, options: { bias?: boolean } = {}) {
    super();
    this.weight = parameter([outputs, inputs], uniformByFanIn(inputs));
    this.bias = (options.bias ?? true) ? parameter([outputs], uniformByFanIn(inputs)) : null;
  }

  forward(x: Tensor): Tensor {
    return ops.aten.linear(x, this.weight, this.bias);
  }
}

type Pair = readonly [number, number];

function pair(sides: number | Pair): Pair {
  return typeof sides === "number" ? [sides, sides] : sides;
}

/** 2-D convolution: `[B, in, H, W] → [B, out, H′, W′]`. The weight lies in `channels_last`, which keeps the layout fast. */
export class Conv2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly #stride: Pair;
  readonly #padding: Pair;

  /**
   * @param kernel one number for a square, or height and width; the same goes for the options
   * @param options.padding defaults to what keeps the size at stride 1 and an odd kernel: ⌊kernel/2⌋.
   */
  constructor(
    inputs: number,
    outputs: number,
    kernel: number | Pair,
    options: { stride?: number | Pair; padding?: number | Pair; bias?: boolean } = {},
  ) {
    super();
    const [height, width] = pair(kernel);
    const fanIn = inputs * height * width;
    const shape = [outputs, inputs, height, width];
    this.weight = unscoped(() => {
      const made = ops.aten.empty(shape, { memory_format: "channels_last" });
      noGrad(() => uniformByFanIn(fanIn)(made));
      made.requiresGrad = true;
      return made;
    });
    this.bias = (options.bias ?? true) ? parameter([outputs], uniformByFanIn(fanIn)) : null;
    this.#stride = pair(options.stride ?? 1);
    this.#padding = pair(options.padding ?? [Math.floor(height / 2), Math.floor(width / 2)]);
  }

  forward(x: Tensor): Tensor {
    return ops.fused.conv2d(x, this.weight, this.bias, this.#stride, this.#padding);
  }
}

/** Rows of a table: integer tensor `[…] → […, width]`. */
export class Embedding extends Module {
  readonly weight: Tensor;

  constructor(count: number, width: number, options: { std?: number } = {}) {
    super();
    this.weight = parameter([count, width], (tensor) => tensor.normal_(0, options.std ?? 1));
  }

  forward(ids: Tensor): Tensor {
    return ops.aten.embedding(this.weight, ids);
  }
}

/** Normalizes the last dimension: `[…, width] → […, width]`. */
export class LayerNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  /** Added to the variance. */
  readonly eps: number;
  readonly #width: number;

  /** @param options.eps default 1e-5, as PyTorch's */
  constructor(width: number, options: { eps?: number } = {}) {
    super();
    this.#width = width;
    this.eps = options.eps ?? 1e-5;
    this.weight = parameter([width], ones);
    this.bias = parameter([width], zeros);
  }

  forward(x: Tensor): Tensor {
    return ops.aten.layer_norm(x, [this.#width], this.weight, this.bias, this.eps);
  }
}

/**
 * Normalizes each group of channels of each image, then scales and shifts by channel, optionally followed by SiLU
 * (`x·sigmoid(x)`): `[B, C, H, W] → [B, C, H, W]` in the input's dtype and layout. One fused kernel on the CPU.
 */
export class GroupNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  /** Added to the variance. */
  readonly eps: number;
  readonly #groups: number;
  readonly #silu: boolean;

  /** @param options.eps default 1e-5, as PyTorch's */
  constructor(groups: number, channels: number, options: { eps?: number; silu?: boolean } = {}) {
    super();
    if (channels % groups !== 0)
      throw new RangeError(`GroupNorm: ${channels} channels do not divide into ${groups} groups`);
    this.eps = options.eps ?? 1e-5;
    this.#groups = groups;
    this.#silu = options.silu ?? false;
    this.weight = parameter([channels], ones);
    this.bias = parameter([channels], zeros);
  }

  forward(x: Tensor): Tensor {
    return groupNorm(x, this.#groups, this.weight, this.bias, this.eps, this.#silu);
  }
}

/** Group normalization with an optional SiLU; statistics in float32 whatever the input. */
export function groupNorm(x: Tensor, groups: number, weight: Tensor, bias: Tensor, eps: number, silu: boolean): Tensor {
  return ops.fused.group_norm_silu(x, weight, bias, groups, eps, silu);
}

/**
 * Dropout of `x` (Srivastava et al. 2014) and the addition to what passes by it: values are zeroed with probability `p`, the
 * others divided by `1 − p`. One fused kernel on the CPU, in float32 or bfloat16 with a float32 residual, whose masks follow
 * from the default generator and not from the number of threads.
 *
 * @param residual of the shape of `x`, or `null`
 * @param p in `[0, 1)`; with 0 no random number is drawn
 * @throws RangeError for another `p`; Error for a residual of another shape
 */
export function dropoutAdd(x: Tensor, residual: Tensor | null, p: number): Tensor {
  if (!(p >= 0 && p < 1)) throw new RangeError(`dropoutAdd: the share to drop must be in [0, 1), but is ${p}`);
  if (p > 0) return ops.fused.dropout_add(x, residual, p);
  return residual === null ? x : residual.add(x);
}
