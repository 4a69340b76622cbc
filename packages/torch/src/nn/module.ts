import { type Device, DTYPE_CODES, type DType } from "../dtype.ts";
import { ANYTHING, expectMap, expectOptions, FLAG } from "../given.ts";
import { noGrad } from "../modes.ts";
import { ops } from "../ops.ts";
import { scope } from "../scope.ts";
import { checkStateDict } from "../state-dict.ts";
import type { Tensor } from "../tensor.ts";
import { type Found, search } from "./members.ts";
import { isParameter } from "./parameter.ts";

const isDType = (name: string): name is DType => Object.hasOwn(DTYPE_CODES, name);

/** What was passed over where weights need not fit. */
export interface IncompatibleKeys {
  /** What the module has, and the weights have not: it stays as it was. */
  readonly missingKeys: readonly string[];
  /** What the weights have, and the module has not. */
  readonly unexpectedKeys: readonly string[];
}

/**
 * A part of a model. Its tensors and sub-modules are plain properties, or lie in arrays, maps and plain objects that are, and are
 * found by name: a tensor that requires a gradient is a parameter, also when it is frozen later; any other is a buffer. Private
 * fields (`#x`) and properties that start with `_` are not part of the state.
 *
 * Subclasses have a `forward` of their own.
 */
export abstract class Module {
  /** Whether layers behave as in training: {@link train} and {@link eval} set it for all modules below. */
  training = true;

  /**
   * Every tensor below this module by its path, e.g. `encoder.blocks.0.weight`, in order of declaration.
   *
   * @throws Error for a tensor or module that lies where no name leads to, such as in a set
   */
  stateDict(): Map<string, Tensor> {
    return this.#search().tensors;
  }

  /** The tensors that are trained, each once, by its first path. */
  namedParameters(): Map<string, Tensor> {
    return this.#once(isParameter);
  }

  /** The tensors that are trained, each once. */
  parameters(): Tensor[] {
    return [...this.namedParameters().values()];
  }

  /** The tensors that belong to the state and are not trained, each once, by its first path. */
  namedBuffers(): Map<string, Tensor> {
    return this.#once((tensor) => !isParameter(tensor));
  }

  /** This module and all below it, each once. */
  modules(): Module[] {
    return [...this.#search().modules];
  }

  #search(): Found<Module> {
    return search(this, Module);
  }

  #once(wanted: (tensor: Tensor) => boolean): Map<string, Tensor> {
    const seen = new Set<Tensor>();
    const out = new Map<string, Tensor>();
    for (const [path, tensor] of this.stateDict()) {
      if (seen.has(tensor) || !wanted(tensor)) continue;
      seen.add(tensor);
      out.set(path, tensor);
    }
    return out;
  }

  /** Sets {@link training} here and in all modules below. */
  train(mode = true): this {
    for (const module of this.modules()) module.training = mode;
    return this;
  }

  /** `train(false)`: dropout lets all through, batch norm takes its running statistics. */
  eval(): this {
    return this.train(false);
  }

  /** Drops the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.grad = undefined;
  }

  /** Freezes or thaws all parameters. */
  requiresGrad_(value = true): this {
    for (const parameter of this.parameters()) parameter.requiresGrad = value;
    return this;
  }

  /**
   * Moves all tensors to a device, or converts those of fractions to a dtype, in place: optimizers and others that hold them see the
   * change. Gradients go with them.
   *
   * @param target for example `"cuda"`, `"bfloat16"`, or both: `{ device: "cuda", dtype: "bfloat16" }`
   * @throws TypeError for a dtype that is not one of fractions, Error for the device `meta`; nothing is changed then
   */
  to(target: Device | DType | { device?: Device; dtype?: DType }): this {
    const options = typeof target !== "string" ? target : isDType(target) ? { dtype: target } : { device: target };
    expectOptions<{ device?: Device; dtype?: DType }>("Module.to", options, {
      device: ANYTHING,
      dtype: ANYTHING,
    });
    const { device, dtype } = options as { device?: Device; dtype?: DType };
    if (dtype !== undefined && !(isDType(dtype) && dtype.includes("float")))
      throw new TypeError(`Module.to takes a dtype of fractions, such as "float32" or "bfloat16", but got ${dtype}`);
    const tensors = new Set(this.stateDict().values());
    if (device !== undefined && [...tensors].some((each) => (each.device === "meta") !== (device === "meta")))
      throw new Error(
        'Module.to cannot move a module to or from the device meta; make it there: setDefaultDevice("meta")',
      );
    const move = (x: Tensor): Tensor => {
      const kind = x.is_floating_point() ? (dtype ?? x.dtype) : x.dtype;
      return x.to(device ?? x.device, kind);
    };
    noGrad(() =>
      scope(() => {
        for (const tensor of tensors) {
          const { grad } = tensor;
          const [data, gradient] = [move(tensor.detach()), grad && move(grad)];
          tensor.grad = undefined;
          ops.aten.set_data(tensor, data);
          tensor.grad = gradient;
        }
      }),
    );
    return this;
  }

  /**
   * Copies values into this module's tensors.
   *
   * @param options.strict default true; without, what only one of both has is passed over
   * @returns the names of what was passed over
   * @throws Error naming every misshapen tensor, and, where strict, every missing and unexpected one; nothing is changed then.
   */
  loadStateDict(source: ReadonlyMap<string, Tensor>, options: { strict?: boolean } = {}): IncompatibleKeys {
    expectOptions("Module.loadStateDict", options, { strict: FLAG });
    const [what, own] = ["the weights do not fit the model", this.stateDict()];
    expectMap(what, source);
    const shared = new Map([...own].filter(([name]) => source.has(name)));
    const given = new Map([...source].filter(([name]) => own.has(name)));
    if (options.strict ?? true) checkStateDict(what, own, source);
    else checkStateDict(what, shared, given);
    noGrad(() => {
      for (const [name, tensor] of shared) tensor.copy_(given.get(name)!);
    });
    const namesBeside = (all: ReadonlyMap<string, Tensor>) => [...all.keys()].filter((name) => !shared.has(name));
    return { missingKeys: namesBeside(own), unexpectedKeys: namesBeside(source) };
  }

  /** The number of trained values. */
  parameterCount(): number {
    return this.parameters().reduce((sum, each) => sum + each.numel(), 0);
  }
}
