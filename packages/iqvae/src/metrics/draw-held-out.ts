import { createHash } from "node:crypto";
import type { SampleOptions } from "@iqvae/runtime";
import { getDefaultDevice } from "@iqvae/torch";
import type { PairDataset } from "../data/index.ts";
import { imagesAtOnce } from "../support/at-once.ts";
import type { Peers } from "../support/peers.ts";
import type { Progress } from "../support/progress.ts";
import { share } from "../support/share.ts";
import { type ImageSet, joinImages } from "./image-set.ts";

/** What draws images for conditions, several for each. */
export interface Drawer {
  draw(conditions: readonly Uint8Array[], options: SampleOptions): Uint8Array[][] | Promise<Uint8Array[][]>;
}

interface Wanted extends SampleOptions {
  readonly samples: number;
}

/**
 * Draws images for held-out conditions, one condition after the other. All are draws of their own, of pairs with equal conditions, too.
 *
 * @param rows numbers of held-out pairs
 * @param peers the processes that draw together, if there are several
 */
export async function drawHeldOut(
  drawer: Drawer,
  { validation, size }: Pick<PairDataset, "validation" | "size">,
  rows: readonly number[],
  wanted: Wanted,
  progress: Progress,
  peers?: Peers,
): Promise<ImageSet> {
  const { samples } = wanted;
  const together = Math.max(1, Math.floor(imagesAtOnce(getDefaultDevice(), size) / samples));
  const starts = Array.from({ length: Math.ceil(rows.length / together) }, (_, i) => i * together);
  const { conditions } = validation.batch(rows);
  const length = conditions.length / rows.length;
  const rasters = rows.map((_, i) => conditions.subarray(i * length, (i + 1) * length));
  const before = occurrences(rasters);
  // Whole batches, so that the number of processes changes no product of matrices.
  const images = await share(peers, starts, async (own) => {
    const drawn: Uint8Array[][] = [];
    const total = own.reduce((sum, first) => sum + Math.min(together, rows.length - first), 0) * samples;
    progress.begin("drawing images", total, 0);
    for (const [i, first] of own.entries()) {
      const some = rasters.slice(first, first + together);
      const onProgress = (share: number) => progress.update(Math.floor((i * together + share * some.length) * samples));
      const turns = before.slice(first, first + together);
      drawn.push(await drawTurns(drawer, some, turns, { ...wanted, onProgress }));
      await new Promise(setImmediate);
    }
    progress.end();
    return drawn;
  });
  return joinImages(images.flat(), size);
}

/**
 * Draws images for conditions, in their order. A sample is decided by the seed, its number and its condition, so one whose condition was drawn for
 * before takes further numbers: it would be the same image again.
 *
 * @param turns how often each condition came before
 */
async function drawTurns(
  drawer: Drawer,
  rasters: readonly Uint8Array[],
  turns: readonly number[],
  { onProgress, ...options }: Wanted & Required<Pick<Wanted, "onProgress">>,
): Promise<Uint8Array[]> {
  const drawn: Uint8Array[][] = [];
  let done = 0;
  for (const turn of new Set(turns)) {
    const own = turns.flatMap((each, i) => (each === turn ? [i] : []));
    const images = await drawer.draw(
      own.map((i) => rasters[i]!),
      {
        ...options,
        firstSample: turn * options.samples,
        onProgress: (share) => onProgress((done + share * own.length) / rasters.length),
      },
    );
    own.forEach((place, i) => {
      drawn[place] = images[i]!;
    });
    done += own.length;
  }
  return drawn.flat();
}

/** How often the bytes of each came before. */
function occurrences(all: readonly Uint8Array[]): number[] {
  const counts = new Map<string, number>();
  return all.map((bytes) => {
    const key = createHash("sha256").update(bytes).digest("base64");
    const count = counts.get(key) ?? 0;
    counts.set(key, count + 1);
    return count;
  });
}
