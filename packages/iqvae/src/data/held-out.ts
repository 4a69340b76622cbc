import { createHash } from "node:crypto";
import type { PairDataset, PairSplit } from "./dataset.ts";

/**
 * What held-out pairs are for: `selection` picks the weights of a run while it trains, `tune` is for finding settings, and
 * `report` is for what is published, so that nothing which is reported has selected anything.
 */
export type HeldOutPart = "selection" | ScoredPart;
/** The parts that finished runs are scored on. */
export const SCORED_PARTS = ["tune", "report"] as const;
export type ScoredPart = (typeof SCORED_PARTS)[number];

/** Where the hashes of `selection` end, and those of `tune`, as shares of all hashes; the rest is `report`. */
const SELECTION_END = 1 / 4;
const TUNE_END = 1 / 2;

/**
 * A data set of which only one part is held out. The hash of a group's name decides its part, so that a group keeps its part when
 * other pairs come in or go: a quarter each is for `selection` and `tune`, half for `report`. Pairs of one group stay together
 * (`PairFacts.group`). Where that leaves a part empty, as it may with a handful of groups, the groups with the nearest hashes fill
 * it; `selection` comes first, then `report`.
 *
 * @returns the same data set but for {@link PairDataset.validation}; closing either closes both
 * @throws Error when there are too few groups for that part
 */
export function heldOutPart(dataset: PairDataset, part: HeldOutPart): PairDataset {
  const { validation, facts, name } = dataset;
  const groups = validation.ids.map((id) => facts?.group?.(id) ?? id);
  const parts = partsOf(new Set(groups));
  const rows = groups.flatMap((group, row) => (parts.get(group) === part ? [row] : []));
  if (rows.length === 0) {
    const needed = part === "tune" ? 3 : 2;
    throw new Error(
      `the held-out pairs of ${name} form ${parts.size} ${parts.size === 1 ? "group" : "groups"}, and none is left for the part ` +
        `'${part}', which takes at least ${needed}: training needs one to pick weights. Add pairs to the data set.`,
    );
  }
  return { ...dataset, validation: subset(validation, rows) };
}

/** The part of each group. */
function partsOf(groups: ReadonlySet<string>): ReadonlyMap<string, HeldOutPart> {
  const sorted = [...groups].map((group) => ({ group, at: hashOf(group) })).sort((a, b) => a.at - b.at);
  const before = (end: number) => sorted.filter(({ at }) => at < end).length;
  const between = (low: number, value: number, high: number) => Math.max(low, Math.min(value, high));
  const n = sorted.length;
  const selected = between(1, before(SELECTION_END), Math.max(1, n - 2));
  const tuned = between(Math.min(selected + 1, n - 1), before(TUNE_END), n - 1);
  const partAt = (i: number) => (i < selected ? "selection" : i < tuned ? "tune" : "report");
  return new Map(sorted.map(({ group }, i) => [group, partAt(i)]));
}

/** Even in [0, 1), whatever names look like. */
function hashOf(group: string): number {
  return createHash("sha256").update(`held-out part of ${group}`).digest().readUInt32LE(0) / 2 ** 32;
}

/** Some pairs of a split, in the order given, as a split of their own. */
function subset(split: PairSplit, rows: readonly number[]): PairSplit {
  return {
    length: rows.length,
    ids: rows.map((row) => split.ids[row]!),
    batch: (indices) =>
      split.batch(
        Array.from(indices, (index) => {
          const row = rows[index];
          if (row !== undefined) return row;
          throw new RangeError(`batch: expected numbers from 0 to ${rows.length - 1}, got ${index}.`);
        }),
      ),
  };
}

/** `count` numbers of pairs of a split, equally far apart, since neighbors may be alike; all of them if there are fewer. */
export function spreadRows({ length }: Pick<PairSplit, "length">, count: number): number[] {
  const taken = Math.min(count, length);
  return Array.from({ length: taken }, (_, i) => Math.floor((i * length) / taken));
}
