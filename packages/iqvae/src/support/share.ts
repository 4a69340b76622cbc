import type { Peers } from "./peers.ts";

/* What one process does alone, and several share. */

/** What is done by the first of several processes, and is true for all; see {@link Peers.onFirst}. */
export async function onFirst<T>(peers: Peers | undefined, body: () => T | Promise<T>): Promise<T> {
  return peers === undefined ? await body() : await peers.onFirst(body);
}

/** What is done by one process of each machine before the others; see {@link Peers.firstOfMachine}. */
export async function firstOfMachine<T>(peers: Peers | undefined, body: () => Promise<T>): Promise<T> {
  return await (peers?.firstOfMachine(body) ?? body());
}

/** What `body` makes of all items, some at a time; see {@link Peers.share}. */
export async function share<T, R>(
  peers: Peers | undefined,
  items: readonly T[],
  body: (own: readonly T[]) => R[] | Promise<R[]>,
): Promise<R[]> {
  return peers === undefined ? await body(items) : await peers.share(items, body);
}

/** What `body` makes of each item, in their order. With peers, every rank does a part of them, and all get all. */
export function shareOut<T, R>(peers: Peers | undefined, items: readonly T[], body: (item: T) => R): R[] {
  if (peers === undefined) return items.map(body);
  const { rank, size } = peers;
  const parts = peers.gather(items.filter((_, i) => i % size === rank).map(body));
  return items.map((_, i) => parts[i % size]![Math.floor(i / size)]!);
}
