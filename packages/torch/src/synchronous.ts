/**
 * The result of a body that runs inside a state of the whole thread (a scope, a mode).
 *
 * @param name of the function that sets the state
 * @param advice what would go wrong, or what to do instead
 * @throws TypeError for a promise, another thenable, a generator or an iterator: its work would be done later, outside that state
 */
export function synchronous<T>(name: string, value: T, advice: string): T {
  const kind = lateKind(value);
  if (kind !== undefined) throw new TypeError(`${name}() got ${kind}; ${advice}`);
  return value;
}

/** What runs later, by name; nothing for all else. */
export function lateKind(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if ("then" in value && typeof value.then === "function") return "an asynchronous function";
  const isIterator = "next" in value && typeof value.next === "function";
  if (isIterator && (Symbol.iterator in value || Symbol.asyncIterator in value))
    return "a generator or iterator, whose steps are taken later (an array of them is not: [...iterator])";
  return undefined;
}
