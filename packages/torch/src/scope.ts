import { native } from "./native.ts";
import { synchronous } from "./synchronous.ts";

/** What a scope needs of a tensor; kept apart from the class so that the two files do not need each other. */
export interface Owned {
  readonly liveHandle: number;
  markReleased(where: Where): void;
}

/** The place of a release, recorded cheaply and spelled out only when an error needs it; or a reason that says more than a place. */
export interface Where {
  readonly stack?: string;
  readonly reason?: string;
}

let current: Owned[] | undefined;
/** Whether {@link unscoped} runs, whose tensors are meant to last. */
let lasting = false;
/** What each {@link traced} sees being made. */
const traces = new Set<WeakSet<Owned>>();

const registry = new FinalizationRegistry<number>((handle) => void native.release(handle));

/** Called by every new tensor: the open scope owns it, or else the garbage collector does. */
export function adopt(tensor: Owned): void {
  if (current !== undefined) current.push(tensor);
  else own(tensor);
}

function own(tensor: Owned): void {
  registry.register(tensor, tensor.liveHandle, tensor);
  native.tellSize(tensor.liveHandle);
  if (!lasting) for (const trace of traces) trace.add(tensor);
}

/** Takes a tensor from the collector's list; its memory is released by the caller. */
export function disown(tensor: Owned): void {
  registry.unregister(tensor);
}

/**
 * Runs `body` and releases every tensor made inside it, except those that it returns, which pass to the surrounding scope or,
 * outside all scopes, to the garbage collector. They are found in arrays, maps, sets and the properties of objects at any depth.
 * Tensors that lie elsewhere are released too (in variables outside, closures, private fields `#x`): return them, or wrap
 * their making in {@link unscoped}.
 *
 * @throws TypeError when `body` is asynchronous or a generator, or returns one: other code would run inside its scope; or a function,
 *   which would use tensors after their release.
 */
export function scope<T>(body: () => T): T {
  return scopeWithSurvivors(body).result;
}

/** {@link scope} that also names the tensors which were made inside and live on. */
export function scopeWithSurvivors<T>(body: () => T): { result: T; survivors: readonly Owned[] } {
  const outer = current;
  const mine: Owned[] = [];
  current = mine;
  let returned = new Set<Owned>();
  const survivors: Owned[] = [];
  try {
    const result = synchronous("scope", body(), ADVICE);
    if (typeof result === "function")
      throw new TypeError(
        "scope() got a function: the tensors that it uses would be released. Return them, or make the function outside",
      );
    if (mine.length > 0) returned = tensorsIn(result);
    return { result, survivors };
  } finally {
    current = outer;
    close(mine, returned, { outer, survivors });
  }
}

const ADVICE = "open the scope inside it, around the synchronous tensor work";

/** Runs `body` outside every scope: what it makes lives until it is disposed or collected. For weights and state. */
export function unscoped<T>(body: () => T): T {
  const [outer, before] = [current, lasting];
  [current, lasting] = [undefined, true];
  try {
    return synchronous("unscoped", body(), "call unscoped inside it, around the synchronous tensor work");
  } finally {
    [current, lasting] = [outer, before];
  }
}

/**
 * Awaits what `body` makes, outside every scope, and names the tensors that were made for it: all before its first `await`, and later
 * those of its result. Those of {@link unscoped} are not among them.
 */
export async function traced<T>(body: () => Promise<T>): Promise<{ result: T; made: readonly Owned[] }> {
  const later = new WeakSet<Owned>();
  traces.add(later);
  try {
    const { coming, made } = started(body);
    const result = await coming;
    return { result, made: [...made, ...[...reachable(result)].filter((tensor) => later.has(tensor))] };
  } finally {
    traces.delete(later);
  }
}

/** The part of `body` before its first `await`. The collector owns what is made in it. */
function started<T>(body: () => Promise<T>): { coming: Promise<T>; made: readonly Owned[] } {
  const [outer, before] = [current, lasting];
  const made: Owned[] = [];
  [current, lasting] = [made, false];
  try {
    return { coming: body(), made };
  } finally {
    [current, lasting] = [outer, before];
    for (const tensor of made) if (tensor.liveHandle >= 0) own(tensor);
  }
}

/** Hands tensors that the collector owns to the open scope. */
export function handOver(tensors: Iterable<Owned>): void {
  for (const tensor of new Set(tensors)) {
    if (tensor.liveHandle < 0) continue;
    disown(tensor);
    adopt(tensor);
  }
}

/** Releases tensors that the collector owns. @param reason what an error of a later use is to say */
export function releaseOwned(tensors: Iterable<Owned>, reason: string): void {
  for (const tensor of tensors) {
    const handle = tensor.liveHandle;
    if (handle < 0) continue;
    disown(tensor);
    tensor.markReleased({ reason });
    native.release(handle);
  }
}

/** Releases first and hands on last, so that a survivor that cannot be handed on keeps no other tensor alive. */
function close(
  mine: readonly Owned[],
  returned: ReadonlySet<Owned>,
  { outer, survivors }: { outer: Owned[] | undefined; survivors: Owned[] },
): void {
  const handles: number[] = [];
  const where: Where = {};
  Error.captureStackTrace(where, scope);
  for (const tensor of mine) {
    if (tensor.liveHandle < 0) continue;
    if (returned.has(tensor)) {
      survivors.push(tensor);
      continue;
    }
    handles.push(tensor.liveHandle);
    tensor.markReleased(where);
  }
  native.release(handles);
  for (const tensor of survivors)
    if (outer === undefined) own(tensor);
    else outer.push(tensor);
}

/** The tensors that a scope returns. */
function tensorsIn(value: unknown): Set<Owned> {
  return reachable(value, (each) => synchronous("scope", each, ADVICE));
}

/** The tensors that can be reached from `value`, through objects that are each shown to `check`. */
function reachable(value: unknown, check: (each: object) => void = () => {}): Set<Owned> {
  const found = new Set<Owned>();
  const seen = new Set<object>();
  const waiting: unknown[] = [value];
  const add = (items: Iterable<unknown>): void => {
    for (const item of items) waiting.push(item);
  };
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next !== "object" || next === null || ArrayBuffer.isView(next) || seen.has(next)) continue;
    seen.add(next);
    check(next);
    if ("liveHandle" in next && "markReleased" in next) found.add(next as Owned);
    else if (Array.isArray(next)) add(next);
    else {
      if (next instanceof Map) add(next.keys());
      if (next instanceof Map || next instanceof Set) add(next.values());
      add(Object.values(next));
      for (const key of Object.getOwnPropertySymbols(next)) waiting.push(next[key as keyof typeof next]);
    }
  }
  return found;
}
