import { didYouMean } from "./nearest.ts";
import type { Tensor } from "./tensor.ts";

/* What JavaScript lets through: compilers see it, and nobody else would. */

/** All options that there are: the compiler sees that none is missing. */
export type Known<O> = { readonly [Name in keyof O]-?: unknown };

/**
 * @param name of what is called
 * @param known has a property for each option that there is
 * @throws TypeError for any other, which would do nothing, and for what is no object
 */
export function expectOptions<O extends object>(name: string, given: O, known: Known<O>): void {
  if (typeof given !== "object" || given === null)
    throw new TypeError(
      `${name} takes options as an object of ${Object.keys(known).join(", ")}, but got ${kindOf(given)}`,
    );
  for (const option in given)
    if (!Object.hasOwn(known, option) && given[option] !== undefined)
      throw new TypeError(`${name} has no option '${option}'; ${didYouMean(option, Object.keys(known))}`);
}

/**
 * What is given, as an array.
 *
 * @param what they are, for the message
 * @throws TypeError for what is not a list of tensors, such as one by name
 */
export function tensorsOf(what: string, given: Iterable<Tensor>): Tensor[] {
  if (typeof given !== "object" || given === null || !(Symbol.iterator in given))
    throw new TypeError(`${what} must be a list of tensors, but got ${kindOf(given)}; put it in one: [x]`);
  const all = [...given];
  for (const each of all)
    if (!isTensor(each))
      throw new TypeError(`${what} must be a list of tensors, such as net.parameters(), but has ${kindOf(each)}`);
  return all;
}

// Not by the class, which needs this file.
const isTensor = (value: unknown): boolean => typeof value === "object" && value !== null && "liveHandle" in value;

/** @throws TypeError for what is no map */
export function expectMap(what: string, given: ReadonlyMap<string, unknown>): void {
  if (typeof given?.get !== "function" || typeof given.keys !== "function")
    throw new TypeError(
      `${what}: a map of tensors by name is needed, such as stateDict() or readSafetensors(path).tensors, but it is ${kindOf(given)}`,
    );
}

/** @throws TypeError for what is no number, and for NaN */
export function expectNumbers(name: string, given: Readonly<Record<string, number>>): void {
  for (const [option, value] of Object.entries(given))
    if (typeof value !== "number" || Number.isNaN(value))
      throw new TypeError(`${name}: ${option} must be a number, but is ${value}`);
}

/** What something is, in a few words. */
export function kindOf(value: unknown): string {
  if (value === null || typeof value !== "object") return typeof value === "function" ? "a function" : `${value}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  const { name } = value.constructor ?? Object;
  return name === "Object" ? `an object of ${Object.keys(value).join(", ")}` : `a ${name}`;
}
