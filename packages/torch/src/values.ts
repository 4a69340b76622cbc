import { scope } from "./scope.ts";
import type { Tensor } from "./tensor.ts";

/** Values nested as deeply as a tensor has dimensions; for none, the value itself. */
export type Nested<T> = T | Nested<T>[];

type Value = number | bigint | boolean | string;

/** The elements in row-major order; complex ones as text. */
function elements(x: Tensor): Value[] {
  const { dtype } = x;
  if (dtype === "bfloat16" || dtype === "float16") return scope(() => [...x.to("float32").read("float32")]);
  const raw = x.toTypedArray();
  if (dtype === "bool") return Array.from(raw as Uint8Array, (byte) => byte !== 0);
  if (!dtype.startsWith("complex")) return Array.from<Value>(raw as ArrayLike<Value>);
  const [pairs, precision] = [raw as Float64Array, dtype === "complex64" ? 4 : 8];
  return Array.from({ length: pairs.length / 2 }, (_, i) => {
    const [re, im] = [pairs[2 * i]!, pairs[2 * i + 1]!];
    return `${re.toFixed(precision)}${im < 0 ? "-" : "+"}${Math.abs(im).toFixed(precision)}i`;
  });
}

/**
 * The elements of a tensor in nested arrays.
 *
 * @throws RangeError for an integer that a number cannot hold; TypeError for complex numbers
 */
export function nestedValues(x: Tensor): Nested<number | boolean> {
  if (x.dtype.startsWith("complex"))
    throw new TypeError(`tolist() of a ${x.dtype} tensor: take both parts first, x.view_as_real()`);
  const { shape } = x;
  const all = elements(x).map((value) => {
    if (typeof value !== "bigint") return value as number | boolean;
    if (Number.isSafeInteger(Number(value))) return Number(value);
    throw new RangeError(
      `tolist() met ${value}, which a number of JavaScript cannot hold; x.read("int64") gives bigints`,
    );
  });
  let position = 0;
  const build = (depth: number): Nested<number | boolean> =>
    depth === shape.length ? all[position++]! : Array.from({ length: shape[depth]! }, () => build(depth + 1));
  return build(0);
}

/** More elements than this are shown by the first and last of each dimension. */
const MOST = 1000;
const EDGE = 3;
const LINE = 80;
/** Stands for elements that are left out. */
const GAP = Symbol("…");

type Shown = Value | typeof GAP | Shown[];

/** Elements that are shown, in the nesting of the tensor. */
function shown(x: Tensor, all: boolean): Shown {
  const { shape } = x;
  const [length] = shape;
  if (length === undefined) return elements(x)[0]!;
  const cut = !all && length > 2 * EDGE;
  const places = (start: number, count: number): Shown[] =>
    shape.length === 1
      ? elements(x.narrow(0, start, count))
      : Array.from({ length: count }, (_, i) => shown(x.select(0, start + i), all));
  return cut ? [...places(0, EDGE), GAP, ...places(length - EDGE, EDGE)] : places(0, length);
}

/** How numbers are written, all alike: whole, with four decimals, or with exponents where sizes are far apart, as PyTorch does. */
function writer(values: readonly Value[]): (value: Value) => string {
  const numbers = values.filter((value): value is number => typeof value === "number" && Number.isFinite(value));
  const sizes = numbers.map(Math.abs).filter((size) => size > 0);
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const whole = numbers.every(Number.isInteger);
  const far = sizes.length > 0 && (most / least > 1000 || most > 1e8 || (!whole && least < 1e-4));
  const plain = (value: Value): string => {
    if (typeof value !== "number" || !Number.isFinite(value)) return String(value);
    if (whole && (!far || most <= 1e8)) return String(value);
    return far ? value.toExponential(4) : value.toFixed(4);
  };
  const width = Math.max(0, ...values.map((value) => plain(value).length));
  return (value) => plain(value).padStart(width);
}

const flat = (nested: Shown): Value[] =>
  Array.isArray(nested) ? nested.flatMap(flat) : nested === GAP ? [] : [nested];

/** Rows one below the other, and long rows cut into lines. */
function layOut(nested: Shown, write: (value: Value) => string, indent: number): string {
  if (nested === GAP) return "…";
  if (!Array.isArray(nested)) return write(nested);
  const parts = nested.map((each) => layOut(each, write, indent + 1));
  const isRow = nested.every((each) => !Array.isArray(each));
  const depth = (each: Shown): number => (Array.isArray(each) ? 1 + Math.max(0, ...each.map(depth)) : 0);
  const space = " ".repeat(indent + 1);
  if (!isRow) return `[${parts.join(`,${"\n".repeat(depth(nested) - 1)}${space}`)}]`;
  const each = Math.max(0, ...parts.map((part) => part.length)) + 2;
  const inLine = Math.max(1, Math.floor((LINE - indent) / each));
  const lines: string[] = [];
  for (let i = 0; i < parts.length; i += inLine) lines.push(parts.slice(i, i + inLine).join(", "));
  return `[${lines.join(`,\n${space}`)}]`;
}

/** The values of a tensor as text; the corners alone where there are more than a thousand. */
export function formatValues(x: Tensor): string {
  const nested = scope(() => shown(x, x.numel() <= MOST));
  return layOut(nested, writer(flat(nested)), 0);
}
