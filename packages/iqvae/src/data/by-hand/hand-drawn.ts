import { type Random, seededRandom } from "../../support/random.ts";
import type { PairDataset, PairSplit } from "../dataset.ts";
import { paintedMap } from "./painted-map.ts";
import { sketchedLines } from "./sketched-lines.ts";

type Drawn = Pick<PairDataset, "key" | "size" | "condition" | "train">;
type Draw = (condition: Uint8Array, size: number, random: Random) => Uint8Array;

/** How a hand draws a condition, by its kind. */
const DRAW: { readonly [kind in string]?: Draw } = { semantic: paintedMap, lines: sketchedLines, edges: sketchedLines };

/** Kinds of conditions that hands draw: maps of classes, and lines. */
export const HAND_DRAWN = Object.keys(DRAW);

/**
 * A data set some of whose training conditions look as if they were drawn by a hand: maps with soft corners, gaps, small things that
 * are dots; lines that waver, do not meet, and leave out a stroke. Who draws for a model draws like that, and a model that has seen
 * exact outlines only makes blotches of it. Which of them, and how, is decided by the pair's number alone; images and held-out pairs
 * stay.
 *
 * @param dataset conditions are bytes `[size, size]` of a kind in `HAND_DRAWN`
 * @param share of the training pairs, from 0 to 1
 */
export function withHandDrawn<Dataset extends Drawn>(dataset: Dataset, share: number): Dataset {
  if (share === 0) return dataset;
  const { key, size, condition, train } = dataset;
  const draw = DRAW[condition.kind]!;
  return { ...dataset, key: `${key} by hand ${share}`, train: handDrawnSplit(train, size, share, draw) };
}

function handDrawnSplit(split: PairSplit, size: number, share: number, draw: Draw): PairSplit {
  return {
    length: split.length,
    ids: split.ids,
    batch(indices) {
      const { images, conditions } = split.batch(indices);
      const drawn = new Uint8Array(conditions); // a copy: those of the split may be its own
      for (const [i, index] of Array.from(indices).entries()) {
        const random = seededRandom("painted", index);
        if (random() >= share) continue;
        const [from, to] = [i * size * size, (i + 1) * size * size];
        drawn.set(draw(drawn.slice(from, to), size, random), from);
      }
      return { images, conditions: drawn };
    },
  };
}
