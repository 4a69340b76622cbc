import { createHash } from "node:crypto";
import type { ConditionSpec } from "../../conditions/index.ts";
import type { PairEntry } from "../cache.ts";
import type { PairFacts } from "../facts.ts";
import type { Pair } from "../recipe.ts";
import type { Problems } from "./problems.ts";

/** A data set in a folder of the user's. To make one costs a listing of its files; none of them is read yet. */
export interface Source {
  readonly condition: ConditionSpec;
  readonly facts?: PairFacts;
  /** Every file that pairs are made of, below the folder. */
  readonly files: readonly string[];
  /**
   * Finds the pairs, and reads lists and annotations for that, but no picture.
   *
   * @param problems takes what is no pair: files without a partner
   * @param onProgress told of long lists while they are read, and may throw to end it
   * @throws Error when a list that all pairs depend on cannot be read
   */
  match(problems: Problems, onProgress: (done: number, total: number) => void): Matched | Promise<Matched>;
}

/** The pairs that there should be. */
export interface Matched {
  readonly entries: readonly PairEntry[];
  /**
   * Reads and checks a pair.
   *
   * @throws PairProblem, FileProblem or another RangeError when it cannot be used
   */
  read(index: number): Promise<Pair>;
}

/** One pair in {@link HELD_OUT} is held out where the layout does not say which. */
const HELD_OUT = 10;

function hashOf(id: string): number {
  return createHash("sha256").update(id).digest().readUInt32LE(0);
}

/**
 * The split of a layout that has none: the hash of a pair's name decides, so that a pair stays on its side when others come
 * in or go. Where that leaves one side empty, as it may with a handful of pairs, the one with the lowest hash goes there.
 */
export function splitByHash(ids: readonly string[]): PairEntry[] {
  const hashes = ids.map(hashOf);
  const entries = ids.map((id, i) => ({ id, validation: hashes[i]! % HELD_OUT === 0 }));
  for (const validation of [true, false]) {
    if (ids.length < 2 || entries.some((entry) => entry.validation === validation)) continue;
    const extreme = hashes.reduce((best, hash, i) => (hash < hashes[best]! ? i : best), 0);
    entries[extreme] = { id: ids[extreme]!, validation };
  }
  return entries;
}
