import { didYouMean } from "./nearest.ts";
import type { Tensor } from "./tensor.ts";

/* What JavaScript lets through: compilers see it, and nobody else would. */

/** What an argument must be. */
export interface Kind {
  /** In words, as in "bias must be …". */
  readonly words: string;
  readonly fits: (value: unknown) => boolean;
}

const whole = (value: unknown): value is number => Number.isSafeInteger(value);

/** For what is looked at where it is used. */
export const ANYTHING: Kind = { words: "", fits: () => true };
export const FLAG: Kind = { words: "true or false", fits: (value) => typeof value === "boolean" };
export const NUMBER: Kind = {
  words: "a number",
  fits: (value) => typeof value === "number" && !Number.isNaN(value),
};
export const ABOVE_ZERO: Kind = {
  words: "a number above 0",
  fits: (value) => Number.isFinite(value) && (value as number) > 0,
};
export const FROM_ZERO: Kind = {
  words: "a number from 0",
  fits: (value) => Number.isFinite(value) && (value as number) >= 0,
};
export const SHARE: Kind = {
  words: "a number in [0, 1]",
  fits: (value) => NUMBER.fits(value) && (value as number) >= 0 && (value as number) <= 1,
};
export const WHOLE: Kind = { words: "a whole number", fits: whole };
export const SIZE: Kind = { words: "a whole number from 0", fits: (value) => whole(value) && value >= 0 };
export const COUNT: Kind = { words: "a whole number from 1", fits: (value) => whole(value) && value >= 1 };
// Not by the class, which needs this file.
export const TENSOR: Kind = {
  words: "a tensor",
  fits: (value) => typeof value === "object" && value !== null && "liveHandle" in value,
};

/** One for both sides of a plane, or height and width. */
export const sides = ({ words, fits }: Kind): Kind => ({
  words: `${words}, or two of them, [height, width]`,
  fits: (value) => fits(value) || (Array.isArray(value) && value.length === 2 && value.every(fits)),
});

/** One of some words, or what else there may be. */
export const oneOf = (choices: readonly string[], other?: Kind): Kind => {
  const all = [...(other === undefined ? [] : [other.words]), ...choices.map((choice) => JSON.stringify(choice))];
  return {
    words: `${all.slice(0, -1).join(", ")} or ${all.at(-1)}`,
    fits: (value) => choices.includes(value as string) || (other?.fits(value) ?? false),
  };
};

export const orNull = ({ words, fits }: Kind): Kind => ({
  words: `${words} or null`,
  fits: (value) => value === null || fits(value),
});

/**
 * @param name of what is called
 * @param given by the names of the arguments
 * @throws TypeError for one that is not of the kind
 */
export function expectKind(name: string, given: Readonly<Record<string, unknown>>, kind: Kind): void {
  for (const argument in given)
    if (!kind.fits(given[argument]))
      throw new TypeError(`${name}: ${argument} must be ${kind.words}, but is ${kindOf(given[argument])}`);
}

/** All options that there are, and their kinds: the compiler sees that none is missing. */
export type Known<O> = { readonly [Name in keyof O]-?: Kind };

/**
 * @param name of what is called
 * @param known has a property for each option that there is
 * @throws TypeError for any other, which would do nothing, for one of another kind, and for what is no object
 */
export function expectOptions<O extends object>(name: string, given: O, known: Known<O>): void {
  if (typeof given !== "object" || given === null || Symbol.iterator in given || TENSOR.fits(given))
    throw new TypeError(
      `${name} takes options as an object of ${Object.keys(known).join(", ")}, but got ${kindOf(given)}`,
    );
  for (const option in given) {
    if (given[option] === undefined) continue;
    if (!Object.hasOwn(known, option))
      throw new TypeError(`${name} has no option '${option}'; ${didYouMean(option, Object.keys(known))}`);
    expectKind(name, { [option]: given[option] }, known[option]);
  }
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
    if (!TENSOR.fits(each))
      throw new TypeError(`${what} must be a list of tensors, such as net.parameters(), but has ${kindOf(each)}`);
  return all;
}

/** @throws TypeError for what is no map */
export function expectMap(what: string, given: ReadonlyMap<string, unknown>): void {
  if (typeof given?.get !== "function" || typeof given.keys !== "function")
    throw new TypeError(
      `${what}: a map of tensors by name is needed, such as stateDict() or readSafetensors(path).tensors, but it is ${kindOf(given)}`,
    );
}

/** What something is, in a few words. */
export function kindOf(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value === "string") return JSON.stringify(value.slice(0, 80));
  if (typeof value === "bigint") return `${value}n`;
  if (value === null || typeof value !== "object") return `${value}`;
  if (Array.isArray(value))
    return value.length > 8 || value.some((each) => typeof each === "object")
      ? `an array of ${value.length}`
      : `[${value.map(kindOf).join(", ")}]`;
  const { name } = value.constructor ?? Object;
  return name === "Object" ? `an object of ${Object.keys(value).join(", ") || "nothing"}` : `a ${name}`;
}
