import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "@iqvae/torch";
import { z } from "zod";

const figure = z.object({
  /** For machines, such as `frechet.attributes-faces-32`. */
  key: z.string(),
  /** For people. */
  label: z.string(),
  value: z.number(),
  /** What real images score in the place of the drawn ones; `null` where there are none to compare with. */
  real: z.number().nullable(),
  better: z.enum(["lower", "higher"]),
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
  size: z.number(),
  conditions: z.number(),
  /** The part of the held-out pairs that conditions were taken from. */
  within: z.object({ first: z.number(), end: z.number() }),
  samples: z.number(),
  seed: z.number(),
  temperature: z.number(),
  topK: z.number().nullable(),
  topP: z.number(),
  guidance: z.number(),
});

const runScore = z.object({
  format: z.literal(1),
  run: z.string(),
  settings,
  /** Digests by name of the feature networks, and of those that fidelity is measured with. */
  networks: z.record(z.string(), z.string()),
  figures: z.array(figure),
  /** What conditions leave open, where the truth is known, trait by trait: of the drawn images and of true ones. */
  calibration: z.object({ drawn: calibration, real: calibration }).nullable(),
  /** Wall time of each part. */
  seconds: z.record(z.string(), z.number()),
});

export type Figure = z.output<typeof figure>;
export type ScoreSettings = z.output<typeof settings>;
/** All figures of a run, as `metrics.json` in its folder holds them. */
export type RunScore = z.output<typeof runScore>;

const pathOf = (run: string) => join(run, "metrics.json");

/** Writes `metrics.json` into a run folder. @returns its path. @throws WriteError */
export function writeScore(folder: string, score: RunScore): string {
  replaceFile(pathOf(folder), `${JSON.stringify(score, null, 2)}\n`);
  return pathOf(folder);
}

/**
 * Reads `metrics.json` of a run folder.
 *
 * @returns `undefined` when there is none, or when it was written by another version or damaged: it is scored anew then
 */
export function readScore(folder: string): RunScore | undefined {
  if (!existsSync(pathOf(folder))) return undefined;
  try {
    return runScore.parse(JSON.parse(readFileSync(pathOf(folder), "utf8")));
  } catch {
    return undefined;
  }
}

/** Whether two runs were scored alike: same data, counts, seed and networks. */
export function comparable(a: RunScore, b: RunScore): boolean {
  const decisive = ({ settings: made, networks }: RunScore) =>
    JSON.stringify([settings.parse(made), Object.entries(networks).sort()]);
  return decisive(a) === decisive(b);
}
