import { type Bound, bind, describeValues, invoke, OperatorError } from "./dispatch.ts";
import type { Namespaces } from "./generated/ops.ts";
import { native } from "./native.ts";
import { overloadsOf } from "./overloads.ts";
import { arrange, isOptions } from "./resolve.ts";
import { Tensor } from "./tensor.ts";

type Callable = (...args: unknown[]) => unknown;

/** An operator with all its overloads; called itself, it picks the first that the arguments fit. */
class Packet {
  readonly #all = new Map<string, Bound>();
  readonly #byKinds = new Map<number, Bound>();
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  get #overloads(): ReadonlyMap<string, Bound> {
    if (this.#all.size === 0)
      for (const overload of overloadsOf(this.#name) ?? []) {
        const schema = native.describeOperator(this.#name, overload);
        if (schema !== undefined) this.#all.set(overload, bind(this.#name, schema));
      }
    return this.#all;
  }

  overload(name: string): Callable | undefined {
    const bound = this.#overloads.get(name);
    return bound && ((...args) => this.#resolve([bound], args));
  }

  call(args: unknown[]): unknown {
    const kinds = kindsOf(args);
    const known = kinds > 0 ? this.#byKinds.get(kinds) : undefined;
    if (known !== undefined) return invoke(known, args);
    return this.#resolve([...this.#overloads.values()], args, kinds);
  }

  #resolve(candidates: readonly Bound[], args: readonly unknown[], kinds = 0): unknown {
    const last = args.at(-1);
    const options = isOptions(last) ? last : undefined;
    const positional = options ? args.slice(0, -1) : args;
    const reasons: string[] = [];
    for (const bound of candidates) {
      const values = arrange(bound.schema, positional, options);
      if (typeof values !== "string") {
        if (kinds > 0) this.#byKinds.set(kinds, bound);
        return invoke(bound, values);
      }
      reasons.push(`${bound.schema.schema}\n      ${values}`);
    }
    throw new OperatorError(
      this.#name,
      candidates.length === 1 ? candidates[0]!.schema.schema : `${candidates.length} overloads`,
      describeValues(args),
      `no overload fits the arguments:\n    ${reasons.join("\n    ")}`,
    );
  }
}

/**
 * A number that stands for the kinds of simple arguments (tensor, integer, fraction, boolean, null), by which a choice of
 * overload can be remembered; 0 when the choice may depend on more than kinds.
 */
function kindsOf(args: readonly unknown[]): number {
  if (args.length > 9) return 0;
  let code = 1;
  for (const value of args) {
    let kind: number;
    if (value instanceof Tensor) kind = 1;
    else if (typeof value === "number") kind = Number.isInteger(value) ? 2 : 3;
    else if (typeof value === "boolean") kind = 4;
    else if (value === null) kind = 5;
    else return 0;
    code = code * 6 + kind;
  }
  return code;
}

function callableFor(name: string): Callable {
  const packet = new Packet(name);
  const callable = (...args: unknown[]): unknown => packet.call(args);
  // Overloads are looked up behind the function, not by a proxy around it, which would make every call slower.
  delete (callable as { name?: string }).name;
  delete (callable as { length?: number }).length;
  const overloads = new Proxy(Function.prototype, {
    get: (target, key) => (typeof key === "string" ? packet.overload(key) : undefined) ?? Reflect.get(target, key),
  });
  return Object.setPrototypeOf(callable, overloads) as Callable;
}

/** Properties that are made at their first reading and are plain properties from then on. */
function lazily<T>(make: (key: string) => T | undefined): Record<string, T> {
  const made: Record<string, T> = Object.create(
    new Proxy(Object.create(null) as object, {
      get(_, key) {
        if (typeof key !== "string") return undefined;
        const value = make(key);
        if (value !== undefined) made[key] = value;
        return value;
      },
    }),
  );
  return made;
}

/**
 * All operators of libtorch by namespace: `ops.aten.conv2d(x, weight, null, { stride: [2, 2] })`. Arguments that have a
 * default may follow in order or stand in a last object; one overload is named as `ops.aten.add.Scalar(x, 1)`.
 *
 * @throws OperatorError with the schema and what was passed.
 */
export const ops = lazily((namespace) =>
  lazily((name) => (hasOperator(`${namespace}::${name}`) ? callableFor(`${namespace}::${name}`) : undefined)),
) as unknown as Namespaces;

/** Whether this libtorch has an operator, e.g. `hasOperator("aten::scaled_dot_product_attention")`. */
export function hasOperator(name: string): boolean {
  return overloadsOf(name) !== undefined;
}

/** Calls an operator by name, for those that not every libtorch has and that are therefore not always typed. */
export function callOperator(name: string, ...args: unknown[]): unknown {
  return operatorByName(name)(...args);
}

const byName = new Map<string, Callable>();

/** @internal */
export function operatorByName(name: string): Callable {
  let found = byName.get(name);
  if (found === undefined) {
    if (!hasOperator(name)) throw new Error(`libtorch ${native.version} has no operator ${name}`);
    const packet = new Packet(name);
    found = (...args) => packet.call(args);
    byName.set(name, found);
  }
  return found;
}
