import { expectMap, kindOf } from "./given.ts";
import type { Tensor } from "./tensor.ts";

/** What has tensors by name and takes them back: modules, optimizers, schedulers, averages. */
export interface Stateful {
  stateDict(): ReadonlyMap<string, Tensor>;
  loadStateDict(source: ReadonlyMap<string, Tensor>): void;
}

type Shaped = { readonly shape: readonly number[] };

/**
 * Compares what is to be loaded with what it is loaded into.
 *
 * @param what begins the message
 * @throws Error naming every missing, unexpected and misshapen tensor; TypeError for what is no map
 */
export function checkStateDict(
  what: string,
  own: ReadonlyMap<string, Shaped>,
  source: ReadonlyMap<string, Shaped>,
): void {
  expectMap(what, source);
  const problems: string[] = [];
  for (const [name, tensor] of own) {
    const given = source.get(name);
    if (given === undefined) problems.push(`'${name}' is missing`);
    else if (!Array.isArray(given.shape)) problems.push(`'${name}' is ${kindOf(given)}, not a tensor`);
    else if (given.shape.join() !== tensor.shape.join())
      problems.push(
        `'${name}' has shape [${given.shape.join(", ")}], but the model needs [${tensor.shape.join(", ")}]`,
      );
  }
  for (const name of source.keys()) if (!own.has(name)) problems.push(`'${name}' is not in the model`);
  if (problems.length === 0) return;
  const more = problems.length > 8 ? `; and ${problems.length - 8} more` : "";
  throw new Error(`${what}: ${problems.slice(0, 8).join("; ")}${more}`);
}
