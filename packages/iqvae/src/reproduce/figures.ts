import { reduction } from "../models/autoencoder.ts";
import { type MetricsRecord, readMetrics } from "../run/metrics-log.ts";
import type { RunFolder } from "../run/run-folder.ts";

/** Something that runs are compared by. */
export interface Criterion {
  readonly name: string;
  readonly title: string;
  /** Which way is better; `null` where neither is. */
  readonly better: "lower" | "higher" | null;
  /** Digits behind the point. */
  readonly digits: number;
  /** What real images score, where that is the same for all runs. */
  readonly floor?: number;
  /** Whether it is what lies above a floor, and may be 0 or less by chance. */
  readonly isExcess?: boolean;
  /** Whether it is how long something took, and runs that never came there have no value: those that have one are the better ones. */
  readonly isCensored?: boolean;
}

/** The figures of one run by name. */
export type FigureValues = Readonly<Record<string, number>>;

/**
 * What the runs' own logs say of the held-out pairs that weights are picked with, by the names of the metrics, which are put in
 * their place where runs are scored.
 */
export const LOG_FIGURES: readonly Criterion[] = [
  { name: "psnr", title: "reconstruction, PSNR in dB", better: "higher", digits: 2 },
  { name: "codebook.image.perplexity", title: "image codes, perplexity", better: null, digits: 0 },
  { name: "condition.accuracy", title: "reconstruction of conditions, accuracy", better: "higher", digits: 4 },
  { name: "bitsPerToken", title: "bits an image token", better: null, digits: 3 },
  { name: "bitsAnImage", title: "bits an image", better: null, digits: 1 },
];

/**
 * The last reconstruction and the lowest likelihood of a finished run: those of the weights that it draws with.
 *
 * @throws Error for a log that lacks the last line of a stage: an earlier one says what other weights do
 */
export function logFigures(run: RunFolder): FigureValues {
  const { data, stage1, stage2 } = run.config;
  const imageTokens = (data.size / reduction(stage1.model.image)) ** 2;
  const records = readMetrics(run.log.path);
  const first = held(records, "stage1").find(({ step }) => step === stage1.steps);
  const second = held(records, "stage2");
  const isWhole = first !== undefined && second.some(({ step }) => step === stage2.steps);
  if (!isWhole)
    throw new Error(
      `${run.log.path} does not say how both stages ended, so it was cut off or deleted after the training. Put the whole log ` +
        `back, or delete ${run.path}, and it is trained anew.`,
    );
  const bits = Math.min(...second.map((record) => Number(record.bits)));
  return {
    // Pixels lie in [−1, 1], so the peak is 2.
    psnr: 10 * Math.log10(4 / Number(first.imageMse)),
    "codebook.image.perplexity": Number(first.imagePerplexity),
    "condition.accuracy": Number(first.conditionAccuracy),
    bitsPerToken: bits,
    bitsAnImage: bits * imageTokens,
  };
}

function held(records: readonly MetricsRecord[], stage: MetricsRecord["stage"]): MetricsRecord[] {
  return records.filter((record) => record.stage === stage && record.split === "validation");
}

/** Values of a held-out figure as a training went on. */
export function curveOf(run: RunFolder, stage: MetricsRecord["stage"], name: string): [step: number, value: number][] {
  return held(readMetrics(run.log.path), stage).flatMap((record): [number, number][] => {
    const value = record[name];
    return typeof value === "number" ? [[record.step, value]] : [];
  });
}
