import { type PairDataset, spreadRows } from "../data/index.ts";
import { contactSheet, type SheetRow } from "../media/index.ts";
import { heldOutPairs } from "../run/pictures.ts";
import { openRun } from "../run/run-folder.ts";
import { ImageGenerator } from "../sampling/generator.ts";
import { ARMS, type ArmName } from "./arms.ts";
import type { PlannedRun } from "./runs.ts";
import type { FailedRun } from "./train-runs.ts";

const CONDITIONS = 6;
/** As many as tiles that stand for a condition: itself and its real image. */
const SAMPLES = 2;

/** A run of each arm that has any: of the first seed that all of these have, else of the first that each has. */
export function picturedRuns(arms: readonly ArmName[], runs: readonly PlannedRun[]): PlannedRun[] {
  const present = arms.filter((arm) => runs.some((run) => run.arm === arm));
  const has = (arm: ArmName, seed: number) => runs.some((run) => run.arm === arm && run.seed === seed);
  const common = runs.find(({ seed }) => present.every((arm) => has(arm, seed)))?.seed;
  return present.map((arm) => runs.find((run) => run.arm === arm && run.seed === (common ?? run.seed))!);
}

/** The seed of runs that have one and the same. */
export function seedOf(runs: readonly PlannedRun[]): number | undefined {
  const [seed, ...others] = new Set(runs.map((run) => run.seed));
  return others.length === 0 ? seed : undefined;
}

/** What each run draws for the same held-out conditions: two columns a condition, a row a run that can draw. */
export async function sideBySide(
  runs: readonly PlannedRun[],
  dataset: PairDataset,
): Promise<{ /** A PNG file; none without rows. */ png: Buffer | undefined; failed: readonly FailedRun[] }> {
  const pairs = heldOutPairs(dataset, spreadRows(dataset.validation, CONDITIONS));
  const rasters = pairs.map(({ raster }) => raster);
  const seed = seedOf(runs);
  const failed: FailedRun[] = [];
  const rows = runs.flatMap((run): SheetRow[] => {
    const { title } = ARMS[run.arm];
    try {
      using generator = ImageGenerator.load(openRun(run.path));
      const drawn = generator.draw(rasters, { samples: SAMPLES, seed: run.seed });
      return [{ label: seed === undefined ? `${title}, seed ${run.seed}` : title, tiles: drawn.flat() }];
    } catch (error) {
      failed.push({ run, error: error as Error });
      return [];
    }
  });
  if (rows.length === 0) return { png: undefined, failed };
  const given = pairs.flatMap(({ condition, image }) => [condition, image]);
  return { png: await contactSheet([{ label: "condition and real image", tiles: given }, ...rows]), failed };
}
