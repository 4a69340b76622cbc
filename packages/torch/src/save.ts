import { kindOf } from "./given.ts";
import {
  readSafetensors,
  readSafetensorsHeader,
  type SafetensorsHeader,
  writeSafetensors,
} from "./safetensors/index.ts";
import { scope } from "./scope.ts";
import { checkStateDict, type Stateful } from "./state-dict.ts";
import type { Tensor } from "./tensor.ts";

/** Modules, optimizers, schedulers and averages by the names under which a file has them. */
export type Saved = Readonly<Record<string, Stateful>>;

/** @throws TypeError for what has no tensors by name, and for names that cannot begin theirs */
function prefixes(objects: Saved): [prefix: string, object: Stateful][] {
  if (typeof objects !== "object" || objects === null || !Object.values(objects).every(isStateful))
    throw new TypeError(
      `save and load take modules, optimizers and averages by name, such as { net }, but got ${kindOf(objects)}`,
    );
  return Object.entries(objects).map(([name, object]) => {
    if (name === "" || name.includes("."))
      throw new TypeError(`'${name}' cannot name a part of a file: it must have no dot`);
    return [`${name}.`, object];
  });
}

/** By what the names in a file begin, the first of them. */
function partsOf({ tensors }: SafetensorsHeader): string {
  const parts = [...new Set([...tensors.keys()].map((name) => `'${name.split(".", 1)[0]}'`))];
  return parts.length > 8 ? `${parts.slice(0, 8).join(", ")}, …` : parts.join(", ") || "nothing";
}

const isStateful = (value: unknown): boolean => typeof (value as Partial<Stateful> | null)?.stateDict === "function";

/**
 * Saves modules, optimizers, schedulers and averages in one safetensors file: `save({ net, optimizer, scheduler }, "run.safetensors")`.
 * Tensors are named `net.first.weight`. Learning rates are saved by their scheduler. At `path` there is always the whole old file or
 * the whole new one.
 *
 * @param metadata further text, such as the step
 * @throws WriteError when the file cannot be written
 */
export function save(objects: Saved, path: string, metadata: Readonly<Record<string, string>> = {}): void {
  const all = new Map<string, Tensor>();
  scope(() => {
    for (const [prefix, object] of prefixes(objects))
      for (const [name, tensor] of object.stateDict()) all.set(`${prefix}${name}`, tensor);
    writeSafetensors(path, all, metadata);
  });
}

/**
 * Loads what {@link save} wrote, in place. A file may have more than what is asked for: `load("run.safetensors", { net })` leaves
 * its optimizer unread.
 *
 * @returns the metadata
 * @throws Error naming every missing, unexpected and misshapen tensor, SafetensorsError for a file that cannot be used; nothing is
 *   changed then
 */
export function load(path: string, objects: Saved): Readonly<Record<string, string>> {
  const named = prefixes(objects);
  const header = readSafetensorsHeader(path);
  return scope(() => {
    const parts = named.map(([prefix, object]) => {
      const names = [...header.tensors.keys()].filter((name) => name.startsWith(prefix));
      const entries = new Map(names.map((name) => [name.slice(prefix.length), header.tensors.get(name)!]));
      if (names.length === 0 && object.stateDict().size > 0)
        throw new Error(`${path}: '${prefix.slice(0, -1)}' is missing; it has ${partsOf(header)}`);
      checkStateDict(`${path}: '${prefix.slice(0, -1)}' does not fit`, object.stateDict(), entries);
      return { prefix, object, names };
    });
    const { tensors } = readSafetensors(path, { names: parts.flatMap(({ names }) => names), device: "cpu" });
    for (const { prefix, object, names } of parts)
      object.loadStateDict(new Map(names.map((name) => [name.slice(prefix.length), tensors.get(name)!])));
    return header.metadata;
  });
}
