import { DTYPE_CODES, LAYOUT_CODES, MEMORY_FORMAT_CODES } from "./dtype.ts";
import { Generator } from "./generator.ts";
import { type NativeArgument, type NativeFunction, type NativeSchema, type NativeType, native } from "./native.ts";
import { getDefaultDevice, Tensor } from "./tensor.ts";

/** One overload, bound to its native function. */
export interface Bound {
  readonly schema: NativeSchema;
  readonly positional: number;
  readonly call: NativeFunction;
  readonly converters: readonly (((value: unknown) => unknown) | undefined)[];
  readonly wrap: "tensor" | "self" | "plain" | "void" | "many";
  /** Index of the `device` argument of a factory, which the default device fills; -1 for others. */
  readonly factoryDevice: number;
}

const handleOf = (value: unknown): unknown => (value instanceof Tensor ? value.handle : value);

function coded(what: string, codes: Readonly<Record<string, number>>) {
  return (value: unknown): unknown => {
    if (value === undefined || value === null) return value;
    const code = codes[value as string];
    if (code === undefined)
      throw new TypeError(`${String(value)} is not a ${what}; known are ${Object.keys(codes).join(", ")}`);
    return code;
  };
}

const toDtype = coded("dtype", DTYPE_CODES);
const toLayout = coded("layout", LAYOUT_CODES);
const toMemoryFormat = coded("memory format", MEMORY_FORMAT_CODES);
const toGenerator = (value: unknown): unknown => (value instanceof Generator ? value.index : value);

function converterFor(type: NativeType): ((value: unknown) => unknown) | undefined {
  switch (type.kind) {
    case "Tensor":
      return handleOf;
    case "ScalarType":
      return toDtype;
    case "Layout":
      return toLayout;
    case "MemoryFormat":
      return toMemoryFormat;
    case "Generator":
      return toGenerator;
    case "List": {
      const element = type.element && converterFor(type.element);
      return element && ((value) => (Array.isArray(value) ? value.map(element) : value));
    }
    default:
      return undefined;
  }
}

function wrapFor(returns: readonly NativeArgument[]): Bound["wrap"] {
  if (returns.length === 0) return "void";
  if (returns.length > 1) return "many";
  const only = returns[0]!;
  if (only.written >= 0) return "self";
  if (only.type.kind === "Tensor") return "tensor";
  return only.type.kind === "List" ? "many" : "plain";
}

export function bind(name: string, schema: NativeSchema): Bound {
  const names = schema.arguments.map((argument) => argument.name);
  const isFactory =
    ["dtype", "layout", "device", "pin_memory"].every((option) => names.includes(option)) &&
    !schema.arguments.some((argument) => argument.type.kind === "Tensor");
  return {
    schema,
    positional: schema.arguments.filter((argument) => !argument.keywordOnly).length,
    call: native.bindOperator(name, schema.overload),
    converters: schema.arguments.map((argument) => converterFor(argument.type)),
    wrap: wrapFor(schema.returns),
    factoryDevice: isFactory ? names.indexOf("device") : -1,
  };
}

/** Most calls have one to three arguments; those go without an array of converted values and without spread. */
function callNative(bound: Bound, given: readonly unknown[]): unknown {
  if (bound.factoryDevice < 0)
    switch (given.length) {
      case 1:
        return bound.call(lowered(bound, given, 0));
      case 2:
        return bound.call(lowered(bound, given, 0), lowered(bound, given, 1));
      case 3:
        return bound.call(lowered(bound, given, 0), lowered(bound, given, 1), lowered(bound, given, 2));
    }
  const values: unknown[] = [];
  for (let i = 0; i < given.length; i++) values.push(lowered(bound, given, i));
  if (bound.factoryDevice >= 0 && values[bound.factoryDevice] == null) {
    while (values.length <= bound.factoryDevice) values.push(undefined);
    values[bound.factoryDevice] = getDefaultDevice();
  }
  return bound.call(...values);
}

/** The i-th argument as the addon takes it. */
function lowered(bound: Bound, given: readonly unknown[], i: number): unknown {
  const value = given[i];
  return value instanceof Tensor ? value.handle : (bound.converters[i]?.(value) ?? value);
}

/** What stands between the caller of an operator and the operator; `next` is what would be called without it. */
export type Hook = (bound: Bound, given: unknown[], next: (bound: Bound, given: unknown[]) => unknown) => unknown;

let hooked: ((bound: Bound, given: unknown[]) => unknown) | undefined;

/** Runs `body` with every operator call going through `hook`, which may itself call operators: those go past it. */
export function withHook<T>(hook: Hook, body: () => T): T {
  const outer = hooked;
  const mine = (bound: Bound, given: unknown[]): unknown => {
    hooked = outer;
    try {
      return hook(bound, given, outer ?? run);
    } finally {
      hooked = mine;
    }
  };
  hooked = mine;
  try {
    return body();
  } finally {
    hooked = outer;
  }
}

/** Calls an overload with every argument in schema order; this is the one point that all tensor work goes through. */
export function invoke(bound: Bound, given: unknown[]): unknown {
  return hooked === undefined ? run(bound, given) : hooked(bound, given);
}

/** The operator's name without its overload, for example `aten::conv2d`. */
export function operatorOf({ schema: { schema } }: Bound): string {
  return /^[\w:]+/.exec(schema)![0];
}

function run(bound: Bound, given: unknown[]): unknown {
  let out: unknown;
  try {
    out = callNative(bound, given);
  } catch (error) {
    throw explain(bound, given, error as Error);
  }
  switch (bound.wrap) {
    case "tensor":
      return typeof out === "number" ? new Tensor(out) : null;
    case "self":
      return given[bound.schema.returns[0]!.written];
    case "void":
      return undefined;
    case "plain":
      return out;
    case "many":
      return wrapMany(bound, given, out as unknown[]);
  }
}

function wrapMany(bound: Bound, given: readonly unknown[], out: readonly unknown[]): unknown[] {
  const { returns } = bound.schema;
  if (returns.length === 1) {
    const isTensors = returns[0]!.type.element?.kind === "Tensor";
    return isTensors ? out.map((item) => (typeof item === "number" ? new Tensor(item) : null)) : [...out];
  }
  return returns.map((described, i) => {
    if (described.written >= 0) return given[described.written];
    const item = out[i];
    if (described.type.kind === "Tensor") return typeof item === "number" ? new Tensor(item) : null;
    if (described.type.element?.kind === "Tensor") return (item as number[]).map((handle) => new Tensor(handle));
    return item;
  });
}

/** An operator that failed: its schema, what was passed, and libtorch's reason. */
export class OperatorError extends Error {
  override readonly name = "OperatorError";
  constructor(
    readonly operator: string,
    readonly schema: string,
    readonly passed: string,
    reason: string,
    options?: ErrorOptions,
  ) {
    super(`${operator}: ${reason}\n  schema: ${schema}\n  passed: ${passed}`, options);
  }
}

function explain(bound: Bound, given: readonly unknown[], cause: Error): Error {
  const schema = bound.schema.schema;
  const operator = schema.slice(0, schema.indexOf("("));
  return new OperatorError(operator, schema, describeValues(given), cause.message.trim(), { cause });
}

export function describeValues(values: readonly unknown[]): string {
  return `(${values.map(describeValue).join(", ")})`;
}

export function describeValue(value: unknown): string {
  if (value instanceof Tensor || value instanceof Generator) return String(value);
  if (Array.isArray(value))
    return `[${value.slice(0, 8).map(describeValue).join(", ")}${value.length > 8 ? ", …" : ""}]`;
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype)
    return `{ ${Object.entries(value)
      .map(([key, item]) => `${key}: ${describeValue(item)}`)
      .join(", ")} }`;
  if (typeof value === "object" && value !== null) return value.constructor.name;
  return String(value);
}
