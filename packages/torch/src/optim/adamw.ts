import { noGrad } from "../modes.ts";
import { ops } from "../ops.ts";
import { scope, unscoped } from "../scope.ts";
import { type Tensor, tensor } from "../tensor.ts";

export interface AdamWOptions {
  /** Decay of the first and second moment. Default `[0.9, 0.999]`. */
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  /** Decoupled decay, applied to tensors of two or more dimensions unless `decayAll`. Default 0.01. */
  readonly weightDecay?: number;
  /** Decay biases and gains too, as PyTorch does when given one group. Default false. */
  readonly decayAll?: boolean;
}

/** A parameter with its moments and the number of its updates. */
interface Entry {
  readonly parameter: Tensor;
  readonly first: Tensor;
  readonly second: Tensor;
  updates: number;
}

interface Group {
  readonly decay: number;
  readonly entries: Entry[];
}

/**
 * Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2), all tensors of a group in one fused call.
 * Gradients that are absent leave their tensor untouched; its moments are corrected for the updates that it has had.
 */
export class AdamW {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #groups: readonly Group[];
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  #steps = 0;

  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamWOptions = {}) {
    this.#betas = options.betas ?? [0.9, 0.999];
    this.#eps = options.eps ?? 1e-8;
    const decayed: Group = { decay: options.weightDecay ?? 0.01, entries: [] };
    const plain: Group = { decay: 0, entries: [] };
    const entries = new Map<string, Entry>();
    for (const [name, parameter] of parameters) {
      const entry = { parameter, first: zerosLike(parameter), second: zerosLike(parameter), updates: 0 };
      entries.set(name, entry);
      (options.decayAll || parameter.ndim >= 2 ? decayed : plain).entries.push(entry);
    }
    this.#entries = entries;
    this.#groups = [decayed, plain];
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
        for (const { decay, entries } of this.#groups) {
          const gradients: Tensor[] = [];
          const chosen: Entry[] = [];
          for (const entry of entries) {
            const gradient = entry.parameter.grad;
            if (gradient === undefined) continue;
            gradients.push(gradient);
            chosen.push(entry);
          }
          ops.fused.adamw_(
            chosen.map(({ parameter }) => parameter),
            gradients,
            chosen.map(({ first }) => first),
            chosen.map(({ second }) => second),
            gradientScale ?? null,
            rate,
            beta1,
            beta2,
            this.#eps,
            decay,
            chosen.map(({ updates }) => updates + 1),
          );
          for (const entry of chosen) entry.updates += 1;
        }
      }),
    );
  }

  /** Drops the gradients of all parameters. */
  zeroGrad(): void {
    for (const { parameter } of this.#entries.values()) parameter.grad = undefined;
  }

  /** By parameter name: the moments as `NAME.first` and `NAME.second`, and the number of updates, int64, as `NAME.updates`. */
  tensors(): Map<string, Tensor> {
    const out = new Map<string, Tensor>();
    for (const [name, { first, second, updates }] of this.#entries) {
      out.set(`${name}.first`, first);
      out.set(`${name}.second`, second);
      out.set(`${name}.updates`, tensor(updates, { dtype: "int64", device: "cpu" }));
    }
    return out;
  }

  /**
   * @param tensors as {@link tensors} gives them
   * @throws Error when one is missing; nothing is changed then
   */
  restore(tensors: ReadonlyMap<string, Tensor>, steps: number): void {
    const given = (name: string): Tensor => {
      const found = tensors.get(name);
      if (found === undefined) throw new Error(`the optimizer state lacks '${name}'; it belongs to another model`);
      return found;
    };
    const states = [...this.#entries].map(([name, entry]) => ({
      entry,
      first: given(`${name}.first`),
      second: given(`${name}.second`),
      updates: given(`${name}.updates`),
    }));
    noGrad(() => {
      for (const { entry, first, second, updates } of states) {
        entry.first.copy_(first);
        entry.second.copy_(second);
        entry.updates = updates.item();
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
