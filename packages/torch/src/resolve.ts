import { describeValue } from "./dispatch.ts";
import { DTYPE_CODES, LAYOUT_CODES, MEMORY_FORMAT_CODES } from "./dtype.ts";
import { Generator } from "./generator.ts";
import type { NativeArgument, NativeSchema, NativeType } from "./native.ts";
import { Tensor } from "./tensor.ts";

/** The trailing object of keyword arguments, e.g. `{ stride: [2, 2] }`. */
export type Options = Readonly<Record<string, unknown>>;

export function isOptions(value: unknown): value is Options {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** Names of devices. */
export const DEVICE = /^(cpu|cuda|meta|mps|xpu|hip)(:\d+)?$/;

function fits(type: NativeType, value: unknown, fixedLength: number): boolean {
  if (value === null || value === undefined) return type.optional;
  switch (type.kind) {
    case "Tensor":
      return value instanceof Tensor;
    case "Int":
      return Number.isInteger(value) || typeof value === "bigint";
    case "Float":
      return typeof value === "number";
    case "Bool":
      return typeof value === "boolean";
    case "Scalar":
      return typeof value === "number" || typeof value === "boolean" || typeof value === "bigint";
    case "String":
      return typeof value === "string";
    case "ScalarType":
      return typeof value === "string" && value in DTYPE_CODES;
    case "Layout":
      return typeof value === "string" && value in LAYOUT_CODES;
    case "MemoryFormat":
      return typeof value === "string" && value in MEMORY_FORMAT_CODES;
    case "Device":
      return typeof value === "string" && DEVICE.test(value);
    case "Generator":
      return value instanceof Generator;
    case "List": {
      const element = type.element!;
      if (Array.isArray(value)) return value.every((item) => fits(element, item, -1));
      return fixedLength > 0 && fits(element, value, -1);
    }
    default:
      return false;
  }
}

/**
 * Puts positional values and options into schema order.
 *
 * @returns the values, or the reason why they do not fit this overload.
 */
export function arrange(
  schema: NativeSchema,
  positional: readonly unknown[],
  options: Options | undefined,
): unknown[] | string {
  const { arguments: expected } = schema;
  const values: unknown[] = new Array(expected.length).fill(undefined);
  for (let i = 0; i < positional.length; i++) {
    const argument = expected[i];
    if (argument === undefined || argument.keywordOnly)
      return unlisted(expected[i - 1], positional.slice(i - 1)) ?? `takes at most ${i} positional arguments`;
    values[i] = positional[i];
  }
  for (const name in options) {
    const index = expected.findIndex((argument) => argument.name === name);
    if (index < 0) return `has no argument '${name}'`;
    if (index < positional.length) return `got '${name}' twice`;
    values[index] = options[name];
  }
  for (let i = 0; i < expected.length; i++) {
    const reason = misfit(expected[i]!, values[i]);
    if (reason !== undefined) return reason;
  }
  let length = values.length;
  while (length > 0 && values[length - 1] === undefined) length--;
  values.length = length;
  return values;
}

function misfit(argument: NativeArgument, value: unknown): string | undefined {
  if (value === undefined) {
    if (argument.hasDefault || (argument.type.optional && argument.keywordOnly)) return undefined;
    return `needs '${argument.name}' (${argument.type.text})`;
  }
  if (fits(argument.type, value, argument.fixedLength)) return undefined;
  return unlisted(argument, [value]) ?? `needs '${argument.name}' to be ${argument.type.text}`;
}

/** The reason for values that stand one by one where a list is needed, as PyTorch takes sizes: what to write instead. */
function unlisted(argument: NativeArgument | undefined, values: readonly unknown[]): string | undefined {
  const element = argument?.type.element;
  if (element == null || !values.every((value) => value != null && fits(element, value, -1))) return undefined;
  return `needs '${argument!.name}' to be ${argument!.type.text}: pass a list, [${values.map(describeValue).join(", ")}]`;
}
