import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { noGrad, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import type { PairDataset } from "../data/index.ts";
import { ImageGenerator } from "../generator.ts";
import { diversity } from "../metrics/diversity.ts";
import type { FeatureNetwork } from "../metrics/features/network.ts";
import { frechetDistance } from "../metrics/frechet.ts";
import { forEachBatch, type ImageSet, joinImages, pixelsOf } from "../metrics/image-set.ts";
import { momentsOf } from "../metrics/moments.ts";
import { precisionRecall } from "../metrics/precision-recall.ts";
import { slicedWasserstein } from "../metrics/swd.ts";
import { bestCheckpoint } from "../training/checkpoint.ts";
import { writeWhole } from "../training/files.ts";
import type { RunFolder } from "../training/run-folder.ts";
import type { Figure, Figures } from "./figures.ts";

/** Halves of the held-out pairs: settings are looked for on one, and what is published is of the other. */
export const PARTS = ["tune", "report"] as const;
export type Part = (typeof PARTS)[number];

/** How finished runs are scored. */
export interface Scoring {
  readonly part: Part;
  /** What images are looked at with; without one there are fewer figures. */
  readonly network: FeatureNetwork | null;
}

/** Raise it whenever the same run would get other figures. */
const VERSION = 1;
/** Conditions that images are drawn for, at most, and images for each. */
const CONDITIONS = 512;
const SAMPLES = 4;
/** Drawn at a time. */
const TOGETHER = 32;
const BATCH = 64;
const SEED = 1;

/** What {@link scoreRun} gives, in the order of tables. */
export function scoreFigures({ network }: Scoring): Figure[] {
  const swd: Figure = { name: "swd", title: "SWD", better: "lower", digits: 2 };
  if (network === null) return [swd];
  const seenBy = (title: string) => `${title} (${network.name})`;
  return [
    { name: "frechet", title: seenBy("Fréchet distance"), better: "lower", digits: 2 },
    swd,
    { name: "precision", title: seenBy("precision"), better: "higher", digits: 3 },
    { name: "recall", title: seenBy("recall"), better: "higher", digits: 3 },
    { name: "diversity", title: seenBy("diversity"), better: null, digits: 4 },
  ];
}

/**
 * Draws images for held-out conditions and compares them with the real ones. The figures are kept in the run's folder, by all
 * that they depend on, so that they are found again.
 */
export function scoreRun(run: RunFolder, dataset: PairDataset, scoring: Scoring): Figures {
  const path = join(run.path, "scores.json");
  const key = keyOf(run, scoring);
  const kept = readScores(path);
  const found = kept[key];
  if (found !== undefined) return found;
  const figures = compute(run, dataset, scoring);
  writeWhole(path, `${JSON.stringify({ ...kept, [key]: figures }, null, 2)}\n`);
  return figures;
}

function keyOf(run: RunFolder, { part, network }: Scoring): string {
  const best = bestCheckpoint(run.checkpoints, "stage2");
  if (best === undefined) throw new Error(`${run.path} has no checkpoint of stage 2 to score.`);
  const weights = createHash("sha256").update(readFileSync(best)).digest("hex");
  const parts = [VERSION, part, CONDITIONS, SAMPLES, SEED, network?.digest ?? "no network", weights];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

function readScores(path: string): Record<string, Figures> {
  if (!existsSync(path)) return {};
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Record<string, Figures>;
  } catch (error) {
    throw new Error(`${path} is no JSON file: ${(error as Error).message}. Delete it, and the run is scored anew.`);
  }
}

/** The rows of a half, spread over it, since neighbors may be alike. */
export function rowsOf(part: Part, length: number): number[] {
  const middle = Math.floor(length / 2);
  const [first, end] = part === "tune" ? [0, middle] : [middle, length];
  const count = Math.min(CONDITIONS, end - first);
  return Array.from({ length: count }, (_, i) => first + Math.floor((i * (end - first)) / count));
}

function compute(run: RunFolder, dataset: PairDataset, { part, network }: Scoring): Figures {
  const { size } = dataset;
  const rows = rowsOf(part, dataset.validation.length);
  const { images, conditions } = dataset.validation.batch(rows);
  const real = joinImages([images], size);
  const rasters = rows.map((_, i) => conditions.subarray(i * size * size, (i + 1) * size * size));
  const generator = scope(() => ImageGenerator.load(run));
  const drawn: Uint8Array[][] = [];
  for (let first = 0; first < rasters.length; first += TOGETHER) {
    drawn.push(...generator.draw(rasters.slice(first, first + TOGETHER), { samples: SAMPLES, seed: SEED }));
  }
  // Equally many on both sides: the first image of each condition.
  const firsts = joinImages(
    drawn.map(([image]) => image!),
    size,
  );
  const swd = slicedWasserstein(real, firsts, { seed: SEED }).mean;
  if (network === null) return { swd };
  return scope(() =>
    noGrad(() => {
      const all = joinImages(drawn.flat(), size);
      const [ofReal, ofFirsts] = [featuresOf(network, real), featuresOf(network, firsts)];
      const spreads = drawn.map((of) => diversity(network, pixelsOf(joinImages(of, size), 0, SAMPLES)));
      return {
        frechet: frechetDistance(momentsOf(ofReal), momentsOf(featuresOf(network, all))),
        swd,
        ...precisionRecall(ofReal, ofFirsts),
        diversity: spreads.reduce((sum, spread) => sum + spread, 0) / spreads.length,
      };
    }),
  );
}

/** Features of all images, `[count, D]`. */
function featuresOf(network: FeatureNetwork, images: ImageSet): Tensor {
  const all: Float32Array[] = [];
  forEachBatch(images, BATCH, (pixels) => void all.push(network.features(pixels).read("float32")));
  return ops.aten.cat(all.map((part) => tensor(part, { shape: [part.length / network.dims, network.dims] })));
}
