import { native } from "./native.ts";

/** What a scope needs of a tensor; kept apart from the class so that the two files do not need each other. */
export interface Owned {
  readonly liveHandle: number;
  markReleased(where: Where): void;
}

/** The place of a release, recorded cheaply and spelled out only when an error needs it. */
export interface Where {
  readonly stack?: string;
}

let current: Owned[] | undefined;

const registry = new FinalizationRegistry<number>((handle) => native.release(handle));

/** Called by every new tensor: the open scope owns it, or else the garbage collector does. */
export function adopt(tensor: Owned): void {
  if (current !== undefined) current.push(tensor);
  else own(tensor);
}

function own(tensor: Owned): void {
  registry.register(tensor, tensor.liveHandle, tensor);
  native.tellSize(tensor.liveHandle);
}

/** Takes a tensor from the collector's list; its memory is released by the caller. */
export function disown(tensor: Owned): void {
  registry.unregister(tensor);
}

/** Whether tensors made now are released by an open scope. */
export function insideScope(): boolean {
  return current !== undefined;
}

/**
 * Runs `body` and releases every tensor made inside it, except those that it returns (also within arrays, plain objects and
 * maps), which pass to the surrounding scope or, outside all scopes, to the garbage collector. Tensors that `body`
 * stores elsewhere are released too: return them, or wrap their making in {@link unscoped}.
 *
 * @throws TypeError when `body` is asynchronous: other code would run inside its scope.
 */
export function scope<T>(body: () => T): T {
  const outer = current;
  const mine: Owned[] = [];
  current = mine;
  let result: T;
  const survivors = new Set<Owned>();
  try {
    result = body();
    if (result instanceof Promise)
      throw new TypeError(
        "scope() got an asynchronous function; open the scope inside it, around the synchronous tensor work",
      );
    collect(result, survivors, 0);
  } catch (error) {
    survivors.clear();
    throw error;
  } finally {
    current = outer;
    close(mine, survivors, outer);
  }
  return result;
}

/** Runs `body` outside every scope: what it makes lives until it is disposed or collected. For weights and state. */
export function unscoped<T>(body: () => T): T {
  const outer = current;
  current = undefined;
  try {
    return body();
  } finally {
    current = outer;
  }
}

function close(mine: readonly Owned[], survivors: ReadonlySet<Owned>, outer: Owned[] | undefined): void {
  const handles: number[] = [];
  const where: Where = {};
  Error.captureStackTrace(where, scope);
  for (const tensor of mine) {
    if (tensor.liveHandle < 0) continue;
    if (survivors.has(tensor)) {
      if (outer !== undefined) outer.push(tensor);
      else own(tensor);
      continue;
    }
    handles.push(tensor.liveHandle);
    tensor.markReleased(where);
  }
  native.release(handles);
}

const DEEPEST = 8;

function collect(value: unknown, into: Set<Owned>, depth: number): void {
  if (typeof value !== "object" || value === null || depth > DEEPEST) return;
  if ("liveHandle" in value && "markReleased" in value) into.add(value as Owned);
  else if (Array.isArray(value)) for (const item of value) collect(item, into, depth + 1);
  else if (value instanceof Map) for (const item of value.values()) collect(item, into, depth + 1);
  else if (Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) collect(item, into, depth + 1);
}
