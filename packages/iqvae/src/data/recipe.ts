import type { PairEntry } from "./cache.ts";
import type { ConditionSpec } from "./dataset.ts";
import type { PairFacts } from "./facts.ts";
import type { ImportReport } from "./import/problems.ts";
import type { License } from "./licenses.ts";

/** An image `[H, W, 3]` and its condition, of the shape that its kind asks for. */
export interface Pair {
  readonly image: Uint8Array;
  readonly condition: Uint8Array;
}

/** What is going on with the files or pairs of a data set, and how much of it is done. It may throw to end that. */
export type OnProgress = (done: number, total: number, task: "checking" | "listing" | "drawing") => void;

/** The pairs of a data set, ready to be drawn. */
export interface Prepared {
  readonly entries: readonly PairEntry[];
  /** A pair; `null` where an import has one that cannot be used. */
  draw(index: number): Promise<Pair | null>;
  /**
   * Of an import, when all pairs have been drawn: what became of them.
   *
   * @param drawn those that could be used
   * @throws Error when too few are left to train on
   */
  report?(drawn: readonly PairEntry[]): ImportReport;
}

/** How the pairs of a data set are drawn. What it costs to know the pairs is paid by `prepare`. */
export interface Recipe {
  readonly name: string;
  readonly condition: ConditionSpec;
  readonly facts?: PairFacts;
  readonly licenses: readonly License[];
  /**
   * Whether pairs that are turned or mirrored are pairs of the set too: then training has each in all eight positions. Conditions are
   * rasters of classes.
   */
  readonly symmetric?: true;
  /** All that decides the pixels and the split: the content key of the cache. */
  readonly parts: Readonly<Record<string, string | number>>;
  prepare(): Prepared | Promise<Prepared>;
}

/** At most `count` entries of a list, equally far apart. */
export function spread<T>(list: readonly T[], count: number): readonly T[] {
  if (count >= list.length) return list;
  return Array.from({ length: count }, (_, i) => list[Math.floor((i * list.length) / count)]!);
}
