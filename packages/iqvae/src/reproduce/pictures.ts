import { type PairDataset, spreadRows } from "../data/index.ts";
import { contactSheet, type SheetRow } from "../media/index.ts";
import { heldOutPairs } from "../run/pictures.ts";
import { openRun } from "../run/run-folder.ts";
import { ImageGenerator } from "../sampling/generator.ts";
import { ARMS } from "./arms.ts";
import type { PlannedRun } from "./runs.ts";
import type { FailedRun } from "./train-runs.ts";

const CONDITIONS = 6;
/** As many as tiles that stand for a condition: itself and its real image. */
const SAMPLES = 2;

/** What each run draws for the same held-out conditions: two columns a condition, a row a run that can draw. */
export async function sideBySide(
  runs: readonly PlannedRun[],
  dataset: PairDataset,
): Promise<{ /** A PNG file; none without rows. */ png: Buffer | undefined; failed: readonly FailedRun[] }> {
  const pairs = heldOutPairs(dataset, spreadRows(dataset.validation, CONDITIONS));
  const rasters = pairs.map(({ raster }) => raster);
  const failed: FailedRun[] = [];
  const rows = runs.flatMap((run): SheetRow[] => {
    try {
      using generator = ImageGenerator.load(openRun(run.path));
      const drawn = generator.draw(rasters, { samples: SAMPLES, seed: run.seed });
      return [{ label: ARMS[run.arm].title, tiles: drawn.flat() }];
    } catch (error) {
      failed.push({ run, error: error as Error });
      return [];
    }
  });
  if (rows.length === 0) return { png: undefined, failed };
  const given = pairs.flatMap(({ condition, image }) => [condition, image]);
  return { png: await contactSheet([{ label: "condition and real image", tiles: given }, ...rows]), failed };
}
