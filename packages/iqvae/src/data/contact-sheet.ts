import { replaceFile } from "@iqvae/torch";
import { conditionLength } from "../conditions/index.ts";
import { contactSheet, drawCondition, type SheetRow } from "../media/contact-sheet.ts";
import type { PairDataset } from "./dataset.ts";
import { spreadRows } from "./held-out.ts";

/** The most rows of each part, and the most pairs in a row of {@link dataContactSheet}. */
const SHEET_ROWS = { train: 6, validation: 2 } as const;
const SHEET_PAIRS = 6;

/** Writes a PNG of pairs side by side, condition first; the last two rows are from validation. Each pair is shown once at most. */
export async function dataContactSheet(dataset: PairDataset, path: string): Promise<void> {
  const { size, condition } = dataset;
  const imageLength = size ** 2 * 3;
  const length = conditionLength(condition, size);
  // Spread over the split, since neighbors may be alike (one concept, several vendors).
  const chosen = Object.entries(SHEET_ROWS).flatMap(([part, count]) => {
    const all = spreadRows(dataset[part as keyof typeof SHEET_ROWS], count * SHEET_PAIRS);
    const starts = Array.from({ length: Math.ceil(all.length / SHEET_PAIRS) }, (_, row) => row * SHEET_PAIRS);
    return starts.map((first) => ({ part, numbers: all.slice(first, first + SHEET_PAIRS) }));
  });
  const rows = chosen.map(({ part, numbers }): SheetRow => {
    const { images, conditions } = dataset[part as keyof typeof SHEET_ROWS].batch(numbers);
    const tiles = Array.from({ length: images.length / imageLength }, (_, i) => [
      drawCondition(conditions.subarray(i * length, (i + 1) * length), condition, size),
      images.subarray(i * imageLength, (i + 1) * imageLength),
    ]).flat();
    return { label: `${dataset.name}, ${part}: condition and image`, tiles };
  });
  replaceFile(path, await contactSheet(rows));
}
