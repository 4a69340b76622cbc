import { COUNT, expectKind, expectOptions, FLAG, type Kind, NUMBER, SIZE, TENSOR } from "../given.ts";
import { ops } from "../ops.ts";
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";
import { buffer, ones, parameter, zeros } from "./parameter.ts";

const SIZES: Kind = {
  words: `${SIZE.words}, or a list of them`,
  fits: (value) => SIZE.fits(value) || (Array.isArray(value) && value.every(SIZE.fits)),
};

/** Normalizes the last dimensions, whose sizes are `shape`: `[…, shape] → […, shape]`. */
export class LayerNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  /** Added to the variance. */
  readonly eps: number;
  readonly #shape: readonly number[];

  /**
   * @param shape of the last dimensions, or the size of the last one
   * @param options.eps default 1e-5
   */
  constructor(shape: number | readonly number[], options: { eps?: number } = {}) {
    super();
    expectKind("LayerNorm", { shape }, SIZES);
    expectOptions("LayerNorm", options, { eps: NUMBER });
    this.#shape = typeof shape === "number" ? [shape] : shape;
    this.eps = options.eps ?? 1e-5;
    this.weight = parameter(this.#shape, ones);
    this.bias = parameter(this.#shape, zeros);
  }

  forward(x: Tensor): Tensor {
    // An autocast brings both together; on the CPU, libtorch 1.13 has no kernel for it.
    const isMixed = x.dtype === "bfloat16" && x.device === "cpu" && this.weight.dtype === "float32";
    const y = ops.aten.layer_norm(isMixed ? x.float() : x, this.#shape, this.weight, this.bias, this.eps);
    return isMixed ? y.bfloat16() : y;
  }
}

/**
 * Normalizes each group of channels of each image, then scales and shifts by channel, optionally followed by SiLU
 * (`x·sigmoid(x)`): `[B, C, …] → [B, C, …]` in the input's dtype. Images are in `channels_last`, and fused on the CPU and on CUDA
 * devices; second derivatives are composed.
 */
export class GroupNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  /** Added to the variance. */
  readonly eps: number;
  readonly #groups: number;
  readonly #silu: boolean;

  /** @param options.eps default 1e-5 */
  constructor(groups: number, channels: number, options: { eps?: number; silu?: boolean } = {}) {
    super();
    expectKind("GroupNorm", { groups, channels }, COUNT);
    expectOptions("GroupNorm", options, { eps: NUMBER, silu: FLAG });
    if (channels % groups !== 0)
      throw new RangeError(`GroupNorm: ${channels} channels do not divide into ${groups} groups`);
    this.eps = options.eps ?? 1e-5;
    this.#groups = groups;
    this.#silu = options.silu ?? false;
    this.weight = parameter([channels], ones);
    this.bias = parameter([channels], zeros);
  }

  /** @throws RangeError for one value a group, whose mean it is: what comes out would be the bias, whatever comes in */
  forward(x: Tensor): Tensor {
    expectKind("GroupNorm.forward", { x }, TENSOR);
    if (x.numel() === this.#groups)
      throw new RangeError(
        `GroupNorm expects more than one value a group, but got [${x.shape.join(", ")}] for ${this.#groups} groups`,
      );
    return groupNorm(x, this.#groups, this.weight, this.bias, this.eps, this.#silu);
  }
}

/** Group normalization with an optional SiLU; statistics in float32 whatever the input. */
export function groupNorm(x: Tensor, groups: number, weight: Tensor, bias: Tensor, eps: number, silu: boolean): Tensor {
  return ops.fused.group_norm_silu(x, weight, bias, groups, eps, silu);
}

/** What batch norms can be told besides their channels. */
export interface BatchNormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number;
  /** The share of the new batch in the running statistics. Default 0.1. */
  readonly momentum?: number;
}

/**
 * Normalizes each channel over the batch (Ioffe & Szegedy 2015), in training by the batch's own mean and variance, whose running
 * means it keeps; after `eval()` by those. The names of the buffers are PyTorch's, so that its files can be loaded.
 */
abstract class BatchNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly running_mean: Tensor;
  readonly running_var: Tensor;
  readonly num_batches_tracked: Tensor;
  readonly eps: number;
  readonly momentum: number;

  constructor(channels: number, options: BatchNormOptions = {}) {
    super();
    expectKind(new.target.name, { channels }, SIZE);
    expectOptions(new.target.name, options, { eps: NUMBER, momentum: NUMBER });
    const { eps = 1e-5, momentum = 0.1 } = options;
    this.eps = eps;
    this.momentum = momentum;
    this.weight = parameter([channels], ones);
    this.bias = parameter([channels], zeros);
    this.running_mean = buffer(() => ops.aten.zeros([channels]));
    this.running_var = buffer(() => ops.aten.ones([channels]));
    this.num_batches_tracked = buffer(() => ops.aten.zeros([], { dtype: "int64" }));
  }

  protected normalize(x: Tensor, dimensions: readonly number[]): Tensor {
    expectKind(`${this.constructor.name}.forward`, { x }, TENSOR);
    if (!dimensions.includes(x.ndim))
      throw new RangeError(
        `${this.constructor.name} expects ${dimensions.join(" or ")} dimensions, but got [${x.shape.join(", ")}]`,
      );
    const { weight, bias, running_mean, running_var, training, momentum, eps } = this;
    // The variance of a single value is none: it would stay in the running one.
    if (training && x.numel() === x.shape[1])
      throw new RangeError(
        `${this.constructor.name} in training expects more than one value a channel, but got [${x.shape.join(", ")}]; give it a larger batch, or call eval()`,
      );
    const normalized = ops.aten.batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps, true);
    if (training) this.num_batches_tracked.add_(1);
    return normalized;
  }
}

/** {@link BatchNorm2d} for `[B, C]` or `[B, C, L]`. */
export class BatchNorm1d extends BatchNorm {
  forward(x: Tensor): Tensor {
    return this.normalize(x, [2, 3]);
  }
}

/**
 * Normalizes each channel of `[B, C, H, W]` over the batch (Ioffe & Szegedy 2015): in training by the batch's own mean and variance,
 * after `eval()` by their running means.
 */
export class BatchNorm2d extends BatchNorm {
  forward(x: Tensor): Tensor {
    return this.normalize(x, [4]);
  }
}
