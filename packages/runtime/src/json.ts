/** Readers of parsed JSON whose shape is not trusted: each gives a value of its type, or says what is wrong where. */

/** Says what is wrong; never returns. */
export type Fail = (reason: string) => never;

const shown = (value: unknown): string => {
  const json = JSON.stringify(value) ?? "missing";
  return json.length > 60 ? `${json.slice(0, 60)}…` : json;
};

export function object(value: unknown, where: string, fail: Fail): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  return fail(`${where} must be an object, but is ${shown(value)}`);
}

/** @param read gives one element, given its place for messages */
export function array<T>(
  value: unknown,
  where: string,
  fail: Fail,
  read: (element: unknown, where: string, fail: Fail) => T,
): T[] {
  if (!Array.isArray(value)) return fail(`${where} must be a list, but is ${shown(value)}`);
  return value.map((element, i) => read(element, `${where}[${i}]`, fail));
}

export function text(value: unknown, where: string, fail: Fail): string {
  return typeof value === "string" ? value : fail(`${where} must be text, but is ${shown(value)}`);
}

/** Bytes in Base64. */
export function base64(value: unknown, where: string, fail: Fail): string {
  const encoded = text(value, where, fail);
  return encoded.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(encoded) ? encoded : fail(`${where} must be Base64`);
}

/** The bytes of a text that {@link base64} lets through. */
export function fromBase64(encoded: string): Uint8Array {
  return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
}

export function boolean(value: unknown, where: string, fail: Fail): boolean {
  return typeof value === "boolean" ? value : fail(`${where} must be true or false, but is ${shown(value)}`);
}

/** A whole number from `least` to `most`. */
export function whole(value: unknown, where: string, fail: Fail, least: number, most: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  return fail(`${where} must be a whole number from ${least} to ${most}, but is ${shown(value)}`);
}

export function byte(value: unknown, where: string, fail: Fail): number {
  return whole(value, where, fail, 0, 255);
}

/** A finite number above 0. */
export function positive(value: unknown, where: string, fail: Fail): number {
  if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
  return fail(`${where} must be a number above 0, but is ${shown(value)}`);
}

export function oneOf<const T>(value: unknown, where: string, fail: Fail, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  return found ?? fail(`${where} must be ${choices.map(shown).join(" or ")}, but is ${shown(value)}`);
}
