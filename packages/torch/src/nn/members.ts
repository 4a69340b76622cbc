import { ops } from "../ops.ts";
import { Tensor } from "../tensor.ts";
import { isParameter } from "./parameter.ts";

/** What lies below a module. */
export interface Found<M> {
  /** By path, in order of declaration. One that is used in several places has several paths. */
  readonly tensors: Map<string, Tensor>;
  readonly modules: Set<M>;
}

// Kept apart from the class, which is handed in, so that the two files do not need each other.
type ModuleClass<M> = abstract new () => M;

/**
 * Looks through the properties of a module: tensors, modules, and arrays, maps and plain objects of them.
 *
 * @throws Error for a tensor or module that no name leads to, for a result that is kept like a weight, for a way that leads back to
 *   where it came from, and for two tensors of one path
 */
export function search<M extends object>(root: M, Module: ModuleClass<M>): Found<M> {
  const tensors = new Map<string, Tensor>();
  const modules = new Set<M>();
  const above = new Set<object>();
  const owner = root.constructor.name;

  const visit = (value: unknown, path: string): void => {
    if (value instanceof Tensor) add(value, path);
    if (value instanceof Tensor || typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
    const entries = value instanceof Module ? Object.entries(value) : entriesOf(value);
    if (entries === undefined) {
      if (hides(value, Module))
        throw new Error(
          `${owner}.${path} is a ${value.constructor?.name ?? "class"} with tensors or modules in it, which get no names there; keep them in ` +
            "a module, an array, a map or a plain object, or under a name that starts with _ if they are not part of the model",
        );
      return;
    }
    if (above.has(value))
      throw new Error(
        `${owner}.${path} leads back to an object that it lies in; let its name start with _ to leave it out`,
      );
    above.add(value);
    if (value instanceof Module) modules.add(value);
    for (const [key, child] of entries) if (!key.startsWith("_")) visit(child, path === "" ? key : `${path}.${key}`);
    above.delete(value);
  };

  const add = (tensor: Tensor, path: string): void => {
    if (tensors.has(path)) throw new Error(`${owner} has two tensors of the path '${path}'; rename one`);
    // A result would be taken for a weight, and keep what it was computed from alive.
    if (!tensor.isReleased && isParameter(tensor) && !ops.aten.is_leaf(tensor))
      throw new Error(
        `${owner}.${path} was computed from tensors that require a gradient, so it is not a parameter; detach() it, or let its name start with _`,
      );
    tensors.set(path, tensor);
  };

  visit(root, "");
  return { tensors, modules };
}

/** Names and values of what has names for its members: arrays, maps by text or number, plain objects. */
function entriesOf(value: object): [string, unknown][] | undefined {
  if (Array.isArray(value)) return Object.entries(value);
  if (value instanceof Map) {
    const keys = [...value.keys()];
    return keys.every((key) => typeof key === "string" || typeof key === "number")
      ? keys.map((key) => [String(key), value.get(key)])
      : undefined;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? Object.entries(value) : undefined;
}

/** Whether a tensor or module lies anywhere within. */
function hides<M extends object>(value: object, Module: ModuleClass<M>): boolean {
  const seen = new Set<object>();
  const waiting: unknown[] = [value];
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next !== "object" || next === null || ArrayBuffer.isView(next) || seen.has(next)) continue;
    if (next instanceof Tensor || next instanceof Module) return true;
    seen.add(next);
    const isCollection = next instanceof Map || next instanceof Set;
    for (const each of isCollection ? next : Object.values(next)) waiting.push(each); // entries of maps are arrays
  }
  return false;
}
