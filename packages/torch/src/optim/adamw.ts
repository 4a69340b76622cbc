import { noGrad } from "../modes.ts";
import { ops } from "../ops.ts";
import { scope, unscoped } from "../scope.ts";
import type { Tensor } from "../tensor.ts";

export interface AdamWOptions {
  /** Decay of the first and second moment. Default `[0.9, 0.999]`. */
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  /** Decoupled decay, applied to tensors of two or more dimensions unless `decayAll`. Default 0.01. */
  readonly weightDecay?: number;
  /** Decay biases and gains too, as PyTorch does when given one group. Default false. */
  readonly decayAll?: boolean;
}

interface Group {
  readonly decay: number;
  readonly parameters: Tensor[];
  readonly firsts: Tensor[];
  readonly seconds: Tensor[];
}

/**
 * Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2), all tensors of a group in one fused call.
 * Gradients that are absent leave their tensor untouched.
 */
export class AdamW {
  readonly #names: string[];
  readonly #groups: Group[];
  readonly #byName = new Map<string, { first: Tensor; second: Tensor }>();
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  #steps = 0;

  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamWOptions = {}) {
    this.#betas = options.betas ?? [0.9, 0.999];
    this.#eps = options.eps ?? 1e-8;
    const decay = options.weightDecay ?? 0.01;
    const decayed: Group = { decay, parameters: [], firsts: [], seconds: [] };
    const plain: Group = { decay: 0, parameters: [], firsts: [], seconds: [] };
    this.#names = [...parameters.keys()];
    for (const [name, parameter] of parameters) {
      const [first, second] = [zerosLike(parameter), zerosLike(parameter)];
      const group = options.decayAll || parameter.ndim >= 2 ? decayed : plain;
      group.parameters.push(parameter);
      group.firsts.push(first);
      group.seconds.push(second);
      this.#byName.set(name, { first, second });
    }
    this.#groups = [decayed, plain].filter((group) => group.parameters.length > 0);
  }

  /** How many steps were made. */
  get steps(): number {
    return this.#steps;
  }

  /** One update with learning rate `rate`. `gradientScale` multiplies all gradients first (clipping without a pass of its own). */
  step(rate: number, gradientScale?: Tensor): void {
    this.#steps += 1;
    const [beta1, beta2] = this.#betas;
    noGrad(() =>
      scope(() => {
        for (const group of this.#groups) {
          const present = group.parameters.map((parameter) => parameter.grad);
          const chosen = present.flatMap((gradient, i) => (gradient === undefined ? [] : [i]));
          const pick = (list: readonly Tensor[]): Tensor[] => chosen.map((i) => list[i]!);
          ops.fused.adamw_(
            pick(group.parameters),
            chosen.map((i) => present[i]!),
            pick(group.firsts),
            pick(group.seconds),
            gradientScale ?? null,
            rate,
            beta1,
            beta2,
            this.#eps,
            group.decay,
            this.#steps,
          );
        }
      }),
    );
  }

  /** Drops the gradients of all parameters. */
  zeroGrad(): void {
    for (const group of this.#groups) for (const parameter of group.parameters) parameter.grad = undefined;
  }

  /** Moments by parameter name, as `NAME.first` and `NAME.second`. */
  tensors(): Map<string, Tensor> {
    const out = new Map<string, Tensor>();
    for (const name of this.#names) {
      const { first, second } = this.#byName.get(name)!;
      out.set(`${name}.first`, first);
      out.set(`${name}.second`, second);
    }
    return out;
  }

  /** @throws Error when a moment is missing. */
  restore(tensors: ReadonlyMap<string, Tensor>, steps: number): void {
    noGrad(() => {
      for (const [name, own] of this.tensors()) {
        const given = tensors.get(name);
        if (given === undefined) throw new Error(`the optimizer state lacks '${name}'; it belongs to another model`);
        own.copy_(given);
      }
    });
    this.#steps = steps;
  }
}

/**
 * Clips the joint Euclidean norm of all gradients to `maxNorm`, in two halves so that memory is passed over once: here the norm
 * and the factor are computed, and {@link AdamW.step} multiplies by the factor. The gradients themselves stay as they are.
 */
export function clipGradNorm(parameters: Iterable<Tensor>, maxNorm: number): { scale: Tensor; norm: Tensor } {
  return noGrad(() =>
    scope(() => {
      const gradients = [...parameters].flatMap((parameter) => parameter.grad ?? []);
      const norm = ops.fused.global_norm(gradients);
      const scale = ops.aten.reciprocal(norm.add(1e-6)).mul(maxNorm).clamp(null, 1);
      return { scale, norm };
    }),
  );
}

/** In the memory layout of `parameter`, and as lasting as it. */
function zerosLike(parameter: Tensor): Tensor {
  return unscoped(() => noGrad(() => ops.aten.zeros_like(parameter)));
}
