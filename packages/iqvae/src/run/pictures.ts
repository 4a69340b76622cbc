import { join } from "node:path";
import { inferenceMode, replaceFile, scope } from "@iqvae/torch";
import { conditionLength } from "../conditions/index.ts";
import { batchTensors, type PairDataset, spreadRows } from "../data/index.ts";
import { contactSheet, drawCondition, type SheetRow } from "../media/index.ts";
import type { IqVae } from "../models/iqvae.ts";
import { ImageGenerator } from "../sampling/generator.ts";
import type { Stage2Trainer } from "../stage2/trainer.ts";
import { inPrecision } from "../support/precision.ts";
import type { Stage } from "../support/trainer.ts";
import type { RunFolder } from "./run-folder.ts";

/** Held-out pairs in a picture of reconstructions, and in one of samples. */
const RECONSTRUCTED = 8;
const SAMPLED = 4;
/** Images drawn for each condition. */
export const SAMPLES = 6;

/** Held-out pairs as tiles: raster, drawn condition and real image of each. */
export function heldOutPairs(dataset: PairDataset, rows: readonly number[]) {
  const { images, conditions } = dataset.validation.batch(rows);
  const { size, condition } = dataset;
  const pixels = size ** 2;
  const length = conditionLength(condition, size);
  return rows.map((_, i) => {
    const raster = conditions.subarray(i * length, (i + 1) * length);
    const image = images.subarray(i * pixels * 3, (i + 1) * pixels * 3);
    return { raster, condition: drawCondition(raster, condition, size), image };
  });
}

/** Writes a picture of held-out pairs and what stage 1 makes of them. @returns its path */
export async function drawReconstructions(
  run: RunFolder,
  model: IqVae,
  dataset: PairDataset,
  step: number,
): Promise<string> {
  const rows = spreadRows(dataset.validation, RECONSTRUCTED);
  const pairs = heldOutPairs(dataset, rows);
  const pixels = dataset.size ** 2;
  const length = conditionLength(dataset.condition, dataset.size);
  const { painted, drawn } = scope(() =>
    inferenceMode(() =>
      inPrecision(run.config, () => {
        const { images, rasters } = batchTensors(dataset.validation.batch(rows), rows.length, dataset);
        const given = model.encodeCondition(rasters);
        return {
          painted: model.decodeImage(model.encodeImage(images), given).read("uint8"),
          drawn: model.decodeCondition(given).to("uint8").read("uint8"),
        };
      }),
    ),
  );
  const columns = pairs.map(({ condition, image }, i) => [
    condition,
    drawCondition(drawn.subarray(i * length, (i + 1) * length), dataset.condition, dataset.size),
    image,
    painted.subarray(i * pixels * 3, (i + 1) * pixels * 3),
  ]);
  const labels = ["conditions", "their reconstructions", "images", "their reconstructions"];
  const sheet = labels.map((label, row): SheetRow => ({ label, tiles: columns.map((column) => column[row]!) }));
  const path = picturePath(run, "stage1", step);
  replaceFile(path, await contactSheet(sheet));
  return path;
}

/** Writes a picture of what stage 2 draws for held-out conditions. @returns its path */
export async function drawSamples(
  run: RunFolder,
  { iqvae, trainer }: { iqvae: IqVae; trainer: Stage2Trainer },
  dataset: PairDataset,
  step: number,
): Promise<string> {
  const generator = new ImageGenerator(run.config, dataset.condition, { iqvae, transformer: trainer.model });
  const sheet = trainer.withAverages(() => drawSheet(generator, dataset, spreadRows(dataset.validation, SAMPLED)));
  const path = picturePath(run, "stage2", step);
  replaceFile(path, await contactSheet(sheet));
  return path;
}

/** A row for each held-out pair: condition, real image, six samples. A PNG file. */
export async function samplesSheet(
  generator: ImageGenerator,
  dataset: PairDataset,
  rows: readonly number[],
  onProgress: (share: number) => void = () => {},
): Promise<Buffer> {
  return await contactSheet(drawSheet(generator, dataset, rows, onProgress));
}

function drawSheet(
  generator: ImageGenerator,
  dataset: PairDataset,
  rows: readonly number[],
  onProgress: (share: number) => void = () => {},
): SheetRow[] {
  const pairs = heldOutPairs(dataset, rows);
  const rasters = pairs.map(({ raster }) => raster);
  const samples = generator.draw(rasters, {
    ...generator.sampling,
    samples: SAMPLES,
    seed: generator.config.seed,
    onProgress,
  });
  return pairs.map(({ condition, image }, i) => ({ tiles: [condition, image, ...(samples[i] ?? [])] }));
}

function picturePath(run: RunFolder, stage: Stage, step: number): string {
  return join(run.samples, `${stage}-${String(step).padStart(8, "0")}.png`);
}
