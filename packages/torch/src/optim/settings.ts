import { ANYTHING, expectKind, expectOptions, FLAG, type Known, kindOf } from "../given.ts";

/** Settings in which none that is `undefined` hides its default. */
export function merged<O extends object>(defaults: O, ...given: readonly Partial<O>[]): O {
  const stated = given.map((each) =>
    Object.fromEntries(Object.entries(each).filter(([, value]) => value !== undefined)),
  );
  return Object.assign({}, defaults, ...stated) as O;
}

/** {@link merged}, of settings that there are. @throws TypeError for any other */
export function settingsOf<O extends object>(name: string, defaults: O, given: Partial<O>): O {
  const known = Object.fromEntries(Object.keys(defaults).map((setting) => [setting, ANYTHING]));
  expectOptions(name, given, known as Known<Partial<O>>);
  return merged(defaults, given);
}

/** Of those that there are: finite numbers from 0. */
const FROM_ZERO = ["lr", "eps", "weightDecay", "momentum"];

/**
 * @param name of the optimizer
 * @throws RangeError for a setting by which no step makes sense, and which would ruin the parameters without a word
 */
export function checkSettings(name: string, settings: object): void {
  for (const [setting, value] of Object.entries(settings)) {
    if (FROM_ZERO.includes(setting) && !(Number.isFinite(value) && value >= 0))
      throw new RangeError(`${name}: ${setting} must be a finite number from 0, but is ${kindOf(value)}`);
    if (setting === "nesterov") expectKind(name, { nesterov: value }, FLAG);
    if (setting === "betas" && !isBetas(value))
      throw new RangeError(
        `${name}: betas must be two numbers in [0, 1), such as [0.9, 0.999], but is ${kindOf(value)}`,
      );
  }
}

const isBetas = (value: unknown): boolean =>
  Array.isArray(value) && value.length === 2 && value.every((beta) => Number.isFinite(beta) && beta >= 0 && beta < 1);
