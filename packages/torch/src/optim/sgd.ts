import { ops } from "../ops.ts";
import type { Tensor } from "../tensor.ts";
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

/** Settings of {@link SGD}. */
export interface SGDOptions {
  /** Learning rate. Default 0.001. */
  lr: number;
  /** Share of the last direction that is kept. Default 0. */
  momentum: number;
  /** Whether the direction is looked at from where momentum leads (Nesterov 1983). Default false. */
  nesterov: boolean;
  /** Added to the gradients as a multiple of the parameters. Default 0. */
  weightDecay: number;
}

const DEFAULTS: SGDOptions = { lr: 1e-3, momentum: 0, nesterov: false, weightDecay: 0 };

/** The direction of a parameter; nothing where its group has never had a momentum. */
export interface Direction {
  momentum?: Tensor;
}

/** Stochastic gradient descent, with momentum if asked for (Sutskever et al. 2013, in PyTorch's form without dampening). */
export class SGD extends Optimizer<SGDOptions, Direction> {
  constructor(parameters: ParametersOrGroups<SGDOptions>, options: Partial<SGDOptions> = {}) {
    super(parameters, settingsOf("SGD", DEFAULTS, options), (_, group) => {
      if (group.nesterov && group.momentum <= 0) throw new RangeError("SGD: nesterov needs a momentum above 0");
      return {};
    });
  }

  protected override prepare(state: Direction, parameter: Tensor, { momentum }: SGDOptions): void {
    if (momentum !== 0) state.momentum ??= zerosLike(parameter);
    if (state.momentum !== undefined) follow(parameter, state.momentum);
  }

  protected override update(group: SGDOptions, updates: readonly Update<Direction>[], scale: Tensor | undefined): void {
    const { lr, momentum, nesterov, weightDecay } = group;
    const { _foreach_add, _foreach_add_, _foreach_mul_ } = ops.aten;
    let steps = withDecay(updates, scaledGradients(updates, scale), weightDecay);
    if (momentum !== 0) {
      const kept = updates.map(({ state }) => state.momentum!);
      _foreach_mul_(kept, momentum);
      _foreach_add_(kept, steps);
      steps = nesterov ? _foreach_add(steps, kept, { alpha: momentum }) : kept;
    }
    const parameters = updates.map(({ parameter }) => parameter);
    _foreach_add_(parameters, steps, { alpha: -lr });
  }

  protected override describe(state: Direction): [string, Tensor][] {
    return Object.entries(state);
  }

  protected override restore(state: Direction, given: (what: string) => Tensor): void {
    state.momentum?.copy_(given("momentum"));
  }
}
