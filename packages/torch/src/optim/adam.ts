import { expectMap } from "../given.ts";
import { ops } from "../ops.ts";
import { type Tensor, tensor } from "../tensor.ts";
import {
  follow,
  Optimizer,
  type ParametersOrGroups,
  scaledGradients,
  type Update,
  withDecay,
  zerosLike,
} from "./optimizer.ts";
import { settingsOf } from "./settings.ts";

/** Settings of {@link Adam} and {@link AdamW}. */
export interface AdamOptions {
  /** Learning rate. Default 0.001. */
  lr: number;
  /** Decay of the first and second moment. Default `[0.9, 0.999]`. */
  betas: readonly [number, number];
  /** Default 1e-8. */
  eps: number;
  /** Default 0 for {@link Adam}, 0.01 for {@link AdamW}. */
  weightDecay: number;
}

/** The moments of a parameter and the number of its updates. */
export interface Moments {
  readonly first: Tensor;
  readonly second: Tensor;
  updates: number;
}

const DEFAULTS = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8 } as const;

/** What the two have in common; moments are corrected for the updates that their parameter has had. */
abstract class Moving extends Optimizer<AdamOptions, Moments> {
  constructor(parameters: ParametersOrGroups<AdamOptions>, options: AdamOptions) {
    super(parameters, options, (parameter) => ({
      first: zerosLike(parameter),
      second: zerosLike(parameter),
      updates: 0,
    }));
  }

  protected override prepare({ first, second }: Moments, parameter: Tensor): void {
    follow(parameter, first, second);
  }

  protected move(
    { lr, betas, eps }: AdamOptions,
    updates: readonly Update<Moments>[],
    { gradients, scale, decay }: { gradients: Tensor[]; scale: Tensor | undefined; decay: number },
  ): void {
    ops.fused.adamw_(
      updates.map(({ parameter }) => parameter),
      gradients,
      updates.map(({ state }) => state.first),
      updates.map(({ state }) => state.second),
      scale ?? null,
      lr,
      betas[0],
      betas[1],
      eps,
      decay,
      updates.map(({ state }) => state.updates + 1),
    );
    for (const { state } of updates) state.updates += 1;
  }

  protected override describe({ first, second, updates }: Moments): [string, Tensor][] {
    return [
      ["first", first],
      ["second", second],
      ["updates", tensor(updates, { dtype: "int64", device: "cpu" })],
    ];
  }

  protected override restore(state: Moments, given: (what: string) => Tensor): void {
    state.first.copy_(given("first"));
    state.second.copy_(given("second"));
    state.updates = given("updates").item();
  }
}

/**
 * Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2), all parameters of a group in one fused call. Decay goes
 * for all parameters of a group, biases included; {@link decayMatrices} makes two groups.
 */
export class AdamW extends Moving {
  constructor(parameters: ParametersOrGroups<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(parameters, settingsOf<AdamOptions>("AdamW", { ...DEFAULTS, weightDecay: 0.01 }, options));
  }

  protected override update(group: AdamOptions, updates: readonly Update<Moments>[], scale: Tensor | undefined): void {
    const gradients = updates.map(({ gradient }) => gradient);
    this.move(group, updates, { gradients, scale, decay: group.weightDecay });
  }
}

/** Adam (Kingma & Ba 2015, Algorithm 1). Weight decay, if any, is added to the gradients. */
export class Adam extends Moving {
  constructor(parameters: ParametersOrGroups<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(parameters, settingsOf<AdamOptions>("Adam", { ...DEFAULTS, weightDecay: 0 }, options));
  }

  protected override update(group: AdamOptions, updates: readonly Update<Moments>[], scale: Tensor | undefined): void {
    // The factor belongs to the gradients alone: where decay is added to them, it comes first.
    const early = group.weightDecay === 0 ? undefined : scale;
    const gradients = withDecay(updates, scaledGradients(updates, early), group.weightDecay);
    this.move(group, updates, { gradients, scale: early === undefined ? scale : undefined, decay: 0 });
  }
}

/**
 * Two groups for an optimizer: parameters of two or more dimensions decay, biases and gains do not.
 *
 * @param parameters by name
 */
export function decayMatrices(
  parameters: ReadonlyMap<string, Tensor>,
  weightDecay: number,
): { params: Map<string, Tensor>; weightDecay: number }[] {
  expectMap("decayMatrices", parameters);
  const [matrices, others] = [new Map<string, Tensor>(), new Map<string, Tensor>()];
  for (const [name, parameter] of parameters) (parameter.ndim >= 2 ? matrices : others).set(name, parameter);
  return [
    { params: matrices, weightDecay },
    { params: others, weightDecay: 0 },
  ];
}
