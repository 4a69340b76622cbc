import { replaceFile } from "@iqvae/torch";
import { conditionLength } from "../conditions/index.ts";
import { contactSheet, drawCondition, type SheetRow } from "../media/contact-sheet.ts";
import type { PairDataset } from "./dataset.ts";

/** Rows and pairs in a row of {@link dataContactSheet}. */
const SHEET_ROWS = 8;
const SHEET_PAIRS = 6;

/** Writes a PNG of pairs side by side, condition first; the last two rows are from validation. */
export async function dataContactSheet(dataset: PairDataset, path: string): Promise<void> {
  const { size, condition } = dataset;
  const imageLength = size ** 2 * 3;
  const length = conditionLength(condition, size);
  const rows = Array.from({ length: SHEET_ROWS }, (_, row): SheetRow => {
    const part = row < SHEET_ROWS - 2 ? "train" : "validation";
    const split = dataset[part];
    const first = (part === "train" ? row : row - SHEET_ROWS + 2) * SHEET_PAIRS;
    // Spread over the split, since neighbors may be alike (one concept, several vendors).
    const total = SHEET_PAIRS * (part === "train" ? SHEET_ROWS - 2 : 2);
    const numbers = Array.from({ length: SHEET_PAIRS }, (_, i) => Math.floor(((first + i) * split.length) / total));
    const { images, conditions } = split.batch(split.length === 0 ? [] : numbers);
    const tiles = Array.from({ length: images.length / imageLength }, (_, i) => [
      drawCondition(conditions.subarray(i * length, (i + 1) * length), condition, size),
      images.subarray(i * imageLength, (i + 1) * imageLength),
    ]).flat();
    return { label: `${dataset.name}, ${part}: condition and image`, tiles };
  });
  replaceFile(path, await contactSheet(rows.filter((row) => row.tiles.length > 0)));
}
