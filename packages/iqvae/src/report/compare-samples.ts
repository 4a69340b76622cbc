import { type OpenRequest, spreadRows } from "../data/index.ts";
import { contactSheet, type SheetRow } from "../media/index.ts";
import { heldOutPairs, SAMPLES } from "../run/pictures.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { openData } from "../run/train-run.ts";
import { ImageGenerator } from "../sampling/generator.ts";
import type { Progress } from "../support/progress.ts";

/** Held-out conditions that are shown. */
const CONDITIONS = 4;

/**
 * Draws the same held-out conditions with each run: the condition and its real image, then a row of samples of each run.
 *
 * @returns a PNG; `undefined` when the runs are of different data, whose conditions they cannot share
 */
export async function compareSamples(runs: readonly RunFolder[], progress: Progress): Promise<Buffer | undefined> {
  const [first] = runs;
  const requests = new Set(runs.map(({ config }) => JSON.stringify(config.data)));
  if (first === undefined || requests.size > 1) return undefined;
  const dataset = await openData(first.config.data satisfies OpenRequest, progress);
  try {
    const numbers = spreadRows(dataset.validation, CONDITIONS);
    const pairs = heldOutPairs(dataset, numbers);
    const rasters = pairs.map(({ raster }) => raster);
    const drawn = runs.map((run) => {
      using generator = ImageGenerator.load(run);
      return generator.draw(rasters, { ...generator.sampling, samples: SAMPLES });
    });
    const rows = pairs.flatMap(({ condition, image }, i): SheetRow[] => [
      { label: `held-out pair ${numbers[i]}: condition and real image`, tiles: [condition, image] },
      ...runs.map((run, k) => ({ label: run.path, tiles: drawn[k]![i]! })),
    ]);
    return await contactSheet(rows);
  } finally {
    dataset.close();
  }
}
