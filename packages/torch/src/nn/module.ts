import { noGrad } from "../modes.ts";
import { Tensor } from "../tensor.ts";

/**
 * A part of a model. Its tensors, sub-modules and arrays of sub-modules are plain properties and are found by name: a tensor
 * that requires a gradient is a parameter, any other is a buffer. Properties that start with `_` are private scratch.
 */
export abstract class Module {
  /** Every tensor below this module by its path, e.g. `encoder.blocks.0.weight`, in order of declaration. */
  stateDict(): Map<string, Tensor> {
    const found = new Map<string, Tensor>();
    collect(this, "", found);
    return found;
  }

  /** The tensors that are trained. */
  namedParameters(): Map<string, Tensor> {
    return new Map([...this.stateDict()].filter(([, tensor]) => tensor.requiresGrad));
  }

  /**
   * Copies values into this module's tensors.
   *
   * @throws Error naming every missing, unexpected and misshapen tensor; nothing is changed then.
   */
  loadStateDict(source: ReadonlyMap<string, Tensor>): void {
    const own = this.stateDict();
    const problems: string[] = [];
    for (const [name, tensor] of own) {
      const given = source.get(name);
      if (given === undefined) problems.push(`'${name}' is missing`);
      else if (given.shape.join() !== tensor.shape.join())
        problems.push(
          `'${name}' has shape [${given.shape.join(", ")}], but the model needs [${tensor.shape.join(", ")}]`,
        );
    }
    for (const name of source.keys()) if (!own.has(name)) problems.push(`'${name}' is not in the model`);
    if (problems.length > 0)
      throw new Error(
        `the weights do not fit the model: ${problems.slice(0, 8).join("; ")}${problems.length > 8 ? `; and ${problems.length - 8} more` : ""}`,
      );
    noGrad(() => {
      for (const [name, tensor] of own) tensor.copy_(source.get(name)!);
    });
  }

  /** The number of trained values. */
  parameterCount(): number {
    let count = 0;
    for (const tensor of this.namedParameters().values()) count += tensor.numel;
    return count;
  }
}

function collect(value: unknown, path: string, into: Map<string, Tensor>): void {
  if (value instanceof Tensor) {
    into.set(path, value);
    return;
  }
  if (!(value instanceof Module) && !Array.isArray(value)) return;
  for (const [key, child] of Object.entries(value))
    if (!key.startsWith("_")) collect(child, path === "" ? key : `${path}.${key}`, into);
}
