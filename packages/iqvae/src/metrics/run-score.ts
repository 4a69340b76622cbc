import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "@iqvae/torch";
import { z } from "zod";
import { SCORED_PARTS } from "../data/index.ts";

/** Raise it whenever the file, or what its figures are of, changes. */
export const SCORE_FORMAT = 5;

export const figureSchema = z.object({
  /** For machines, such as `frechet.attributes-faces-32`. */
  key: z.string(),
  /** For people. */
  label: z.string(),
  value: z.number(),
  /** What real images score in the place of the drawn ones; `null` where there are none to compare with. */
  real: z.number().nullable(),
  /** `null` where neither is. */
  better: z.enum(["lower", "higher"]).nullable(),
});

const traitCalibration = z.object({
  totalVariation: z.number(),
  pooledTotalVariation: z.number(),
  coverage: z.number(),
  expectedCoverage: z.number(),
  readings: z.number(),
});

const calibration = z.object({
  traits: z.record(z.string(), traitCalibration),
  mean: traitCalibration.omit({ readings: true }),
});

/** What was drawn. Figures of runs that were scored with other settings or networks must not be compared. */
const settings = z.object({
  data: z.string(),
  /** What decides the data's bytes and their split: sets of one name may differ. */
  dataKey: z.string(),
  size: z.number(),
  conditions: z.number(),
  /** The part of the held-out pairs that all figures are of. */
  part: z.enum(SCORED_PARTS),
  samples: z.number(),
  seed: z.number(),
  temperature: z.number(),
  topK: z.number().nullable(),
  topP: z.number(),
  guidance: z.number(),
});

const runScore = z.object({
  format: z.literal(SCORE_FORMAT),
  run: z.string(),
  /** What the weights are known by that drew. */
  weights: z.string(),
  settings,
  /** Digests by name of the feature networks, and of those that fidelity is measured with. */
  networks: z.record(z.string(), z.string()),
  figures: z.array(figureSchema),
  /** What conditions leave open, where the truth is known, trait by trait: of the drawn images and of true ones. */
  calibration: z.object({ drawn: calibration, real: calibration }).nullable(),
  /** Wall time of each part. */
  seconds: z.record(z.string(), z.number()),
});

export type Figure = z.output<typeof figureSchema>;
export type ScoreSettings = z.output<typeof settings>;
/** All figures of a run, as `metrics.json` in its folder holds them. */
export type RunScore = z.output<typeof runScore>;

const pathOf = (run: string) => join(run, "metrics.json");

/**
 * JSON has no infinity and no NaN: such a figure would be written as `null`, and the file could not be read back.
 *
 * @throws RangeError that names the first figure that is not finite
 */
export function expectFinite(figures: readonly Figure[]): void {
  for (const { key, value, real } of figures) {
    if (Number.isFinite(value) && (real === null || Number.isFinite(real))) continue;
    throw new RangeError(
      `the figure '${key}' is ${value}${real === null ? "" : ` (of real images ${real})`}, not a finite number. ` +
        "The run's weights or its images are broken; look at samples, or train it anew.",
    );
  }
}

/** Writes `metrics.json` into a run folder. @returns its path. @throws WriteError; RangeError as {@link expectFinite} */
export function writeScore(folder: string, score: RunScore): string {
  expectFinite(score.figures);
  replaceFile(pathOf(folder), `${JSON.stringify(score, null, 2)}\n`);
  return pathOf(folder);
}

/**
 * Reads `metrics.json` of a run folder.
 *
 * @param weights what the weights are known by that the run has now; figures of others are not its figures
 * @param onUnusable called with a sentence when there is a file, but it was written by another version, is damaged, or is of other weights
 * @returns `undefined` when there is none that can be used: the run is to be scored anew then
 */
export function readScore(
  folder: string,
  weights: string | undefined,
  onUnusable: (message: string) => void = () => {},
): RunScore | undefined {
  const path = pathOf(folder);
  if (!existsSync(path)) return undefined;
  const unusable = (why: string) => {
    onUnusable(`${path} cannot be used: ${why}.`);
    return undefined;
  };
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return unusable("it is not valid JSON");
  }
  const { data, error } = runScore.safeParse(document);
  if (error === undefined)
    return data.weights === weights ? data : unusable("its figures are of weights that the run no longer has");
  const [{ path: place, message }] = error.issues as [z.core.$ZodIssue];
  return unusable(`${place.join(".")}: ${message}`);
}

/** Whether two runs were scored alike: the same pairs, counts, seed and networks. */
export function comparable(a: RunScore, b: RunScore): boolean {
  const decisive = ({ settings: made, networks }: RunScore) =>
    JSON.stringify([settings.parse(made), Object.entries(networks).sort()]);
  return decisive(a) === decisive(b);
}
