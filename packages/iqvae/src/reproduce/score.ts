import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "@iqvae/torch";
import { z } from "zod";
import type { PairDataset, ScoredPart } from "../data/index.ts";
import {
  type FeatureNetwork,
  type Fidelity,
  fidelityOf,
  openFeatureNetwork,
  scoreSteps,
  Truths,
} from "../metrics/index.ts";
import { type JudgeName, judgeSpec } from "../metrics/judges.ts";
import { type Figure, figureSchema } from "../metrics/run-score.ts";
import { TRIPLE } from "../metrics/triple.ts";
import { checkpointPath } from "../run/checkpoint.ts";
import type { RunFolder } from "../run/run-folder.ts";
import type { Progress } from "../support/progress.ts";
import type { Criterion, FigureValues } from "./figures.ts";

/** What samples are looked at with, the same for all runs. */
export interface Judges {
  readonly network: FeatureNetwork;
  /** None where there is no measure for the data set's condition. */
  readonly fidelity: Fidelity | undefined;
  /** What was seen of true images. */
  readonly truths: Truths;
}

/**
 * Opens the judges of runs on a data set; those that are not in the cache are trained first, which takes minutes.
 *
 * @param judge not the network of the runs' perceptual term
 */
export async function openJudges(dataset: PairDataset, judge: JudgeName, progress: Progress): Promise<Judges> {
  const network = await openFeatureNetwork(judgeSpec(judge, dataset.size), { progress });
  return { network, fidelity: await fidelityOf(dataset, { progress }), truths: new Truths() };
}

/** Raise it whenever the same run would get other figures. */
const VERSION = 6;
/** Conditions that images are drawn for, at most, and images for each. */
const CONDITIONS = 512;
const SAMPLES = 4;
const SEED = 1;

/**
 * Draws images for the conditions of a part of the held-out pairs, with the weights that a run had after steps of stage 2, and
 * measures them. The figures are kept in the run's folder, by all that they depend on, so that they are found again.
 *
 * @param progress what it throws ends the scoring, and nothing is kept of it
 * @returns the figures after each of the steps
 * @throws CheckpointError when the weights of a step were not kept
 */
export async function scoresOf(
  run: RunFolder,
  steps: readonly number[],
  part: ScoredPart,
  judges: Judges,
  progress: Progress,
): Promise<(readonly Figure[])[]> {
  const path = join(run.path, "scores.json");
  const kept = readScores(path);
  const keys = steps.map((step) => keyOf(run, step, part, judges));
  const open = steps.filter((_, i) => kept[keys[i]!] === undefined);
  if (open.length > 0) {
    const scores = await scoreSteps(run, open, {
      conditions: CONDITIONS,
      part,
      samples: SAMPLES,
      seed: SEED,
      networks: [judges.network],
      truths: judges.truths,
      progress,
      ...(judges.fidelity === undefined ? {} : { fidelity: judges.fidelity }),
    });
    open.forEach((step, i) => {
      kept[keys[steps.indexOf(step)]!] = scores[i]!.figures;
    });
    replaceFile(path, `${JSON.stringify(kept, null, 2)}\n`);
  }
  return keys.map((key) => kept[key]!);
}

function keyOf({ checkpoints }: RunFolder, step: number, part: ScoredPart, { network, fidelity }: Judges): string {
  const path = checkpointPath(checkpoints, "stage2", step);
  // Where it is not, scoring says so.
  const description = existsSync(path) ? createHash("sha256").update(readFileSync(path)).digest("hex") : null;
  const parts = [VERSION, part, CONDITIONS, SAMPLES, SEED, network.digest, fidelity?.networks, description];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

const scoresSchema = z.record(z.string(), z.array(figureSchema).readonly());

function readScores(path: string): Record<string, readonly Figure[]> {
  if (!existsSync(path)) return {};
  try {
    return scoresSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new Error(`${path} does not hold scores: ${reason}. Delete it, and the run is scored anew.`);
  }
}

export const TOTAL = `${TRIPLE}total.`;
/** How far a total lies above what true images score: the figure that arms are compared by. */
export const EXCESS = `${TRIPLE}excess.`;

function excessOf({ key, value, real }: Figure): [name: string, value: number][] {
  return key.startsWith(TOTAL) && real !== null ? [[EXCESS + key.slice(TOTAL.length), value - real]] : [];
}

/** Whether what true images score depends on the run: the gap's floor is of the run's own reconstructions. */
function hasOwnFloor({ key, real }: Figure): boolean {
  return key.startsWith(`${TRIPLE}gap.`) && real !== null;
}

/**
 * Columns for figures of samples; the title says what real images score in the place of drawn ones. Where that differs from run to
 * run, it is a column of its own.
 */
export function columnsOf(figures: readonly Figure[]): Criterion[] {
  return figures.flatMap((figure): Criterion[] => {
    const { key, label, real, better } = figure;
    if (hasOwnFloor(figure))
      return [
        { name: key, title: label, better, digits: 3 },
        { name: `${key}.floor`, title: `${label}, floor`, better: null, digits: 3 },
      ];
    const excess = excessOf(figure).map(
      ([name]): Criterion => ({ name, title: `${label}, above its floor`, better: "lower", digits: 3, isExcess: true }),
    );
    const title = real === null ? label : `${label} [real: ${Number(real.toPrecision(3))}]`;
    return [...excess, { name: key, title, better, digits: 3, ...(real === null ? {} : { floor: real }) }];
  });
}

/** The values of figures by the names of {@link columnsOf}. */
export function valuesOf(figures: readonly Figure[]): FigureValues {
  return Object.fromEntries(
    figures.flatMap((figure): [string, number][] => [
      ...excessOf(figure),
      [figure.key, figure.value],
      ...(hasOwnFloor(figure) ? [[`${figure.key}.floor`, figure.real!] as [string, number]] : []),
    ]),
  );
}
