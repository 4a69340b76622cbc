import {
  ABOVE_ZERO,
  expectKind,
  expectOptions,
  FLAG,
  FROM_ZERO,
  type Known,
  oneOf,
  orNull,
  SHARE,
  TENSOR,
  WHOLE,
} from "../given.ts";
import { ops } from "../ops.ts";
import type { Tensor } from "../tensor.ts";
import { Module } from "./module.ts";

/** The numbers that libtorch's schemas have for them. */
const REDUCTIONS = { none: 0, mean: 1, sum: 2 } as const;

/** What losses can be told. */
export interface LossOptions {
  /** What becomes of the losses of the elements. Default `"mean"`. */
  readonly reduction?: "none" | "mean" | "sum";
}

const LOSS_OPTIONS = { reduction: oneOf(Object.keys(REDUCTIONS)) };
const CLASS_LOSS_OPTIONS = { ...LOSS_OPTIONS, weight: orNull(TENSOR), ignoreIndex: WHOLE };

/** @throws TypeError for options that are not `known` */
function reductionOf<O extends LossOptions>(name: string, options: O, known: Known<O>): number {
  expectOptions(name, options, known);
  return REDUCTIONS[options.reduction ?? "mean"];
}

/** @throws RangeError where one would be spread over the other: a loss of `[B]` and `[B, 1]` is that of all pairs */
function checkOneShape(name: string, input: Tensor, target: Tensor): void {
  expectKind(name, { input, target }, TENSOR);
  const [given, wanted] = [input, target].map(({ shape }) => `[${shape.join(", ")}]`);
  if (given !== wanted)
    throw new RangeError(
      `${name} expects tensors of one shape, but got ${given} and ${wanted}; reshape() or expand() one of them`,
    );
}

/** What {@link CrossEntropyLoss} and {@link NLLLoss} can be told. */
export interface ClassLossOptions extends LossOptions {
  /** A factor for each class, `[C]`. `"mean"` divides by the sum of the targets' factors. */
  readonly weight?: Tensor;
  /** A target that does not count. Default −100. */
  readonly ignoreIndex?: number;
}

/** What {@link CrossEntropyLoss} can be told. */
export interface CrossEntropyOptions extends ClassLossOptions {
  /** The share of each target, in [0, 1], that is spread over all classes. Default 0. */
  readonly labelSmoothing?: number;
}

/** The cross entropy of logits `[B, C, …]` and targets, in nats: classes as int64 `[B, …]`, or probabilities like the logits. */
export class CrossEntropyLoss extends Module {
  readonly weight: Tensor | null;
  readonly #reduction: number;
  readonly #ignoreIndex: number;
  readonly #labelSmoothing: number;

  constructor(options: CrossEntropyOptions = {}) {
    super();
    this.#reduction = reductionOf("CrossEntropyLoss", options, { ...CLASS_LOSS_OPTIONS, labelSmoothing: SHARE });
    const { weight = null, ignoreIndex = -100, labelSmoothing = 0 } = options;
    this.weight = weight;
    [this.#ignoreIndex, this.#labelSmoothing] = [ignoreIndex, labelSmoothing];
  }

  forward(logits: Tensor, target: Tensor): Tensor {
    const settings = [this.#reduction, this.#ignoreIndex, this.#labelSmoothing] as const;
    return ops.aten.cross_entropy_loss(logits, target, this.weight, ...settings);
  }
}

/** The negative log likelihood of targets, int64 `[B, …]`, by logarithms of probabilities `[B, C, …]`. */
export class NLLLoss extends Module {
  readonly weight: Tensor | null;
  readonly #reduction: number;
  readonly #ignoreIndex: number;

  constructor(options: ClassLossOptions = {}) {
    super();
    this.#reduction = reductionOf("NLLLoss", options, CLASS_LOSS_OPTIONS);
    this.weight = options.weight ?? null;
    this.#ignoreIndex = options.ignoreIndex ?? -100;
  }

  forward(logProbabilities: Tensor, target: Tensor): Tensor {
    return ops.aten.nll_loss_nd(logProbabilities, target, this.weight, this.#reduction, this.#ignoreIndex);
  }
}

/** The squared difference of tensors of one shape. */
export class MSELoss extends Module {
  readonly #reduction: number;

  constructor(options: LossOptions = {}) {
    super();
    this.#reduction = reductionOf("MSELoss", options, LOSS_OPTIONS);
  }

  /** @throws RangeError when the shapes differ */
  forward(input: Tensor, target: Tensor): Tensor {
    checkOneShape("MSELoss", input, target);
    return ops.aten.mse_loss(input, target, this.#reduction);
  }
}

/** The absolute difference of tensors of one shape. */
export class L1Loss extends Module {
  readonly #reduction: number;

  constructor(options: LossOptions = {}) {
    super();
    this.#reduction = reductionOf("L1Loss", options, LOSS_OPTIONS);
  }

  /** @throws RangeError when the shapes differ */
  forward(input: Tensor, target: Tensor): Tensor {
    checkOneShape("L1Loss", input, target);
    return ops.aten.l1_loss(input, target, this.#reduction);
  }
}

/** Of a difference `d` half its square where it is less than `delta`, and `delta·(|d| − delta/2)` beyond (Huber 1964). */
export class HuberLoss extends Module {
  readonly delta: number;
  readonly #reduction: number;

  /** @param options.delta default 1 */
  constructor(options: LossOptions & { readonly delta?: number } = {}) {
    super();
    this.#reduction = reductionOf("HuberLoss", options, { ...LOSS_OPTIONS, delta: ABOVE_ZERO });
    this.delta = options.delta ?? 1;
  }

  /** @throws RangeError when the shapes differ */
  forward(input: Tensor, target: Tensor): Tensor {
    checkOneShape("HuberLoss", input, target);
    return ops.aten.huber_loss(input, target, this.#reduction, this.delta);
  }
}

/** Huber's loss divided by `beta`: the absolute difference, rounded off where it is less than that (Girshick 2015). */
export class SmoothL1Loss extends Module {
  readonly beta: number;
  readonly #reduction: number;

  /** @param options.beta default 1; with 0 it is {@link L1Loss} */
  constructor(options: LossOptions & { readonly beta?: number } = {}) {
    super();
    this.#reduction = reductionOf("SmoothL1Loss", options, { ...LOSS_OPTIONS, beta: FROM_ZERO });
    this.beta = options.beta ?? 1;
  }

  /** @throws RangeError when the shapes differ */
  forward(input: Tensor, target: Tensor): Tensor {
    checkOneShape("SmoothL1Loss", input, target);
    return ops.aten.smooth_l1_loss(input, target, this.#reduction, this.beta);
  }
}

/** What {@link KLDivLoss} can be told. */
export interface KLDivOptions {
  /** `"batchmean"` is the divergence, a mean over the first dimension; `"mean"`, the default as in PyTorch, is one over all elements. */
  readonly reduction?: "none" | "mean" | "sum" | "batchmean";
  /** Whether the targets are logarithms as well. Default false. */
  readonly logTarget?: boolean;
}

const KL_OPTIONS = { reduction: oneOf([...Object.keys(REDUCTIONS), "batchmean"]), logTarget: FLAG };

/** The Kullback–Leibler divergence `t·(log t − x)` of targets `t` from logarithms of probabilities `x`, in nats. */
export class KLDivLoss extends Module {
  readonly #reduction: "none" | "mean" | "sum" | "batchmean";
  readonly #logTarget: boolean;

  constructor(options: KLDivOptions = {}) {
    super();
    expectOptions("KLDivLoss", options, KL_OPTIONS);
    this.#reduction = options.reduction ?? "mean";
    this.#logTarget = options.logTarget ?? false;
  }

  /** @throws RangeError when the shapes differ, or, for `"batchmean"`, when they have no first dimension */
  forward(logProbabilities: Tensor, target: Tensor): Tensor {
    checkOneShape("KLDivLoss", logProbabilities, target);
    const divergence = (reduction: number) =>
      ops.aten.kl_div(logProbabilities, target, reduction, { log_target: this.#logTarget });
    if (this.#reduction !== "batchmean") return divergence(REDUCTIONS[this.#reduction]);
    const [batch] = target.shape;
    if (batch === undefined)
      throw new RangeError(
        'KLDivLoss: "batchmean" is a mean over the first dimension, but the tensors are scalars; use "sum"',
      );
    return divergence(REDUCTIONS.sum).div(batch);
  }
}

const BCE_OPTIONS = { ...LOSS_OPTIONS, weight: orNull(TENSOR), posWeight: orNull(TENSOR) };

/**
 * The cross entropy of logits and probabilities of the same shape, each element a question of its own. The names of the buffers are
 * PyTorch's, so that its files can be loaded.
 */
export class BCEWithLogitsLoss extends Module {
  readonly weight: Tensor | null;
  readonly pos_weight: Tensor | null;
  readonly #reduction: number;

  /**
   * @param options.weight a factor for each element
   * @param options.posWeight a factor for what is true
   */
  constructor(options: LossOptions & { readonly weight?: Tensor; readonly posWeight?: Tensor } = {}) {
    super();
    this.#reduction = reductionOf("BCEWithLogitsLoss", options, BCE_OPTIONS);
    [this.weight, this.pos_weight] = [options.weight ?? null, options.posWeight ?? null];
  }

  /** @throws RangeError when the shapes differ */
  forward(logits: Tensor, target: Tensor): Tensor {
    checkOneShape("BCEWithLogitsLoss", logits, target);
    return ops.aten.binary_cross_entropy_with_logits(logits, target, this.weight, this.pos_weight, this.#reduction);
  }
}
