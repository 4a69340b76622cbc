import { ANYTHING, expectOptions, kindOf, tensorsOf } from "../given.ts";
import { noGrad } from "../modes.ts";
import { ops } from "../ops.ts";
import { scope, unscoped } from "../scope.ts";
import { checkStateDict } from "../state-dict.ts";
import { Tensor } from "../tensor.ts";
import { checkSettings, settingsOf } from "./settings.ts";

/** What is trained: a module's `parameters()`, or `namedParameters()`, whose names then stand in the optimizer's state. */
export type Parameters = Iterable<Tensor> | ReadonlyMap<string, Tensor>;

/** Parameters, or groups of them with settings of their own. */
export type ParametersOrGroups<O> = Parameters | readonly ({ readonly params: Parameters } & Partial<O>)[];

/** Parameters by name, with the settings that {@link Optimizer.step} goes by; these may be changed at any time. */
export type ParamGroup<O> = O & { readonly params: ReadonlyMap<string, Tensor> };

/** A parameter with its gradient and its part of the optimizer's state. */
export interface Update<S> {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  readonly state: S;
}

/** What a step may be told. */
export interface StepOptions {
  /** Multiplies all gradients, as {@link clipGradNorm} asks for. */
  readonly gradientScale?: Tensor;
}

/** Changes parameters by their gradients. `S` is what is remembered of each parameter from step to step. */
export abstract class Optimizer<O extends { lr: number }, S> {
  /** As PyTorch's `param_groups`: the settings are plain properties. */
  readonly paramGroups: readonly ParamGroup<O>[];
  readonly #states = new Map<string, { readonly parameter: Tensor; readonly state: S }>();

  constructor(parameters: ParametersOrGroups<O>, defaults: O, begin: (parameter: Tensor, group: O) => S) {
    let unnamed = 0;
    const seen = new Set<Tensor>();
    this.paramGroups = groupsOf(parameters).map(({ params, ...own }) => {
      const group = settingsOf(this.constructor.name, defaults, own as unknown as Partial<O>);
      checkSettings(this.constructor.name, group);
      const all = isNamed(params)
        ? params
        : new Map(tensorsOf(`${this.constructor.name}: params`, params).map((tensor) => [`${unnamed++}`, tensor]));
      for (const [name, parameter] of all) {
        if (seen.has(parameter) || this.#states.has(name))
          throw new Error(
            `${this.constructor.name}: the parameter '${name}' is given twice; each belongs to one group`,
          );
        if (!ops.aten.is_leaf(parameter) && !ops.aten.retains_grad(parameter))
          throw new Error(
            `${this.constructor.name}: the parameter '${name}' is computed from other tensors and would never get a gradient; give it as x.detach().requires_grad_(), or give those that it comes from`,
          );
        seen.add(parameter);
        this.#states.set(name, { parameter, state: begin(parameter, group) });
      }
      return { ...group, params: all };
    });
    if (seen.size === 0) throw new Error(`${this.constructor.name}: there are no parameters to train`);
  }

  /** The learning rate of the first group. Setting it sets that of all. */
  get lr(): number {
    return this.paramGroups[0]!.lr;
  }

  set lr(value: number) {
    for (const group of this.paramGroups) group.lr = value;
  }

  /**
   * One update of all parameters that have a gradient; the others and their state stay as they are.
   *
   * @throws RangeError for settings that make no sense, such as a rate that is NaN, TypeError for a scale that is not one number;
   *   nothing is changed then
   */
  step(options: StepOptions = {}): void {
    expectOptions(`${this.constructor.name}.step`, options, { gradientScale: ANYTHING });
    const { gradientScale } = options;
    if (gradientScale !== undefined) expectScale(`${this.constructor.name}.step`, gradientScale);
    noGrad(() =>
      scope(() => {
        for (const group of this.paramGroups) checkSettings(this.constructor.name, group);
        for (const group of this.paramGroups) {
          const updates: Update<S>[] = [];
          for (const [name, parameter] of group.params) {
            const gradient = parameter.grad;
            if (gradient !== undefined) updates.push({ parameter, gradient, state: this.#stateOf(name, group) });
          }
          if (updates.length > 0) this.update(group, updates, gradientScale);
        }
      }),
    );
  }

  /** Drops the gradients of all parameters. */
  zeroGrad(): void {
    for (const { params } of this.paramGroups) for (const parameter of params.values()) parameter.grad = undefined;
  }

  /** What is remembered of each parameter, as `NAME.WHAT`. Settings, such as the learning rate, are not part of it: a scheduler saves that. */
  stateDict(): Map<string, Tensor> {
    const out = new Map<string, Tensor>();
    for (const [name, state] of this.#all())
      for (const [what, tensor] of this.describe(state)) out.set(`${name}.${what}`, tensor);
    return out;
  }

  /**
   * Goes on where {@link stateDict} was taken.
   *
   * @throws Error naming every missing, unexpected and misshapen tensor; nothing is changed then
   */
  loadStateDict(source: ReadonlyMap<string, Tensor>): void {
    noGrad(() =>
      scope(() => {
        checkStateDict("the state does not fit the optimizer", this.stateDict(), source);
        for (const [name, state] of this.#all()) this.restore(state, (what) => source.get(`${name}.${what}`)!);
      }),
    );
  }

  /** The states by parameter name, in the order in which the parameters were given. */
  *#all(): Iterable<[name: string, state: S]> {
    for (const group of this.paramGroups)
      for (const name of group.params.keys()) yield [name, this.#stateOf(name, group)];
  }

  #stateOf(name: string, group: O): S {
    const { parameter, state } = this.#states.get(name)!;
    this.prepare(state, parameter, group);
    return state;
  }

  /** Adds to a state what the present settings of its group ask for. */
  protected prepare(_state: S, _parameter: Tensor, _group: O): void {}

  /** One step of a group, without recording gradients, in a scope. */
  protected abstract update(group: O, updates: readonly Update<S>[], gradientScale: Tensor | undefined): void;

  /** The state of one parameter by what it is. */
  protected abstract describe(state: S): Iterable<[what: string, tensor: Tensor]>;

  protected abstract restore(state: S, given: (what: string) => Tensor): void;
}

const isNamed = (parameters: unknown): parameters is ReadonlyMap<string, Tensor> => parameters instanceof Map;

function groupsOf<O>(given: ParametersOrGroups<O>): ({ readonly params: Parameters } & Partial<O>)[] {
  if (isNamed(given)) return [{ params: given } as never];
  const wanted =
    "an optimizer takes tensors, such as net.parameters(), a map of them, or a list of { params, … }, but got ";
  if (typeof given !== "object" || given === null || !(Symbol.iterator in given))
    throw new TypeError(`${wanted}${kindOf(given)}`);
  const items: unknown[] = [...given];
  if (items.every((item) => item instanceof Tensor)) return [{ params: items } as never];
  if (items.every((item) => typeof item === "object" && item !== null && "params" in item)) return items as never;
  throw new TypeError(`${wanted}${kindOf(items)}`);
}

/** @throws TypeError for more than one number, which would be spread over the elements of a gradient */
function expectScale(name: string, scale: unknown): void {
  if (scale instanceof Tensor && scale.numel() === 1) return;
  throw new TypeError(
    `${name}: gradientScale must be a tensor of one number, as clipGradNorm gives it, but is ${scale instanceof Tensor ? scale : kindOf(scale)}`,
  );
}

/** The gradients, each multiplied. */
export function scaledGradients(updates: readonly Update<unknown>[], scale: Tensor | undefined): Tensor[] {
  const gradients = updates.map(({ gradient }) => gradient);
  const factor = scale?.squeeze();
  return factor === undefined ? gradients : gradients.map((gradient) => gradient.mul(factor.to(gradient.dtype)));
}

/** Gradients plus `weightDecay` times their parameters: decay as a part of the loss. */
export function withDecay(updates: readonly Update<unknown>[], gradients: Tensor[], weightDecay: number): Tensor[] {
  if (weightDecay === 0) return gradients;
  const parameters = updates.map(({ parameter }) => parameter);
  return ops.aten._foreach_add(gradients, parameters, { alpha: weightDecay });
}

/** Moves what is remembered of a parameter to where it went by `net.to("cuda")`, or into the dtype that it got, after the optimizer was made. */
export function follow({ dtype, device }: Tensor, ...remembered: readonly Tensor[]): void {
  for (const each of remembered)
    if (each.dtype !== dtype || each.device !== device) ops.aten.set_data(each, each.to(device, dtype));
}

/** In the memory layout of `parameter`, and as lasting as it. */
export function zerosLike(parameter: Tensor): Tensor {
  return unscoped(() => noGrad(() => ops.aten.zeros_like(parameter)));
}
