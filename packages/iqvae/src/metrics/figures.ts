import { conditionLength } from "../conditions/index.ts";
import type { OpenTraits, PairDataset } from "../data/index.ts";
import type { FeatureNetwork } from "../features/network.ts";
import type { Peers } from "../support/peers.ts";
import { calibration } from "./calibration/calibrate.ts";
import type { Calibration } from "./calibration/spread.ts";
import type { Clock } from "./clock.ts";
import type { FeatureStore } from "./feature-store.ts";
import type { Fidelity } from "./fidelity/measure.ts";
import { featureFigures, meanDiversity } from "./image-figures.ts";
import { firstOf, type ImageSet } from "./image-set.ts";
import type { ModelFigures } from "./model-figures.ts";
import type { RealImages } from "./real-images.ts";
import type { Figure, RunScore } from "./run-score.ts";
import { slicedWasserstein } from "./swd.ts";
import type { Truths } from "./truths.ts";

/** What is measured, and what it is held against. */
export interface Subject {
  readonly dataset: PairDataset;
  /** Numbers of the held-out conditions. */
  readonly rows: readonly number[];
  readonly samples: number;
  readonly seed: number;
  /** `samples` images of each condition, one condition after the other. */
  readonly drawn: ImageSet;
  readonly real: RealImages;
  /** The images of the held-out pairs. */
  readonly heldOut: ImageSet;
  readonly clock: Clock;
  readonly features: FeatureStore;
  readonly truths: Pick<Truths, "diversity" | "swd" | "calibration">;
  readonly peers?: Peers | undefined;
}

/** Fréchet distance, precision, recall and diversity under each network. */
export async function networkFigures(subject: Subject, networks: readonly FeatureNetwork[]): Promise<Figure[]> {
  const { drawn, real, samples, clock, truths, peers } = subject;
  const figures: Figure[] = [];
  for (const network of networks) {
    const features = await clock.time(`features ${network.name}`, () => ({
      reference: subject.features.of(network, real.reference),
      drawn: subject.features.of(network, drawn),
      own: real.own === undefined ? undefined : subject.features.of(network, real.own),
    }));
    const { of, best } = await clock.time(`Fréchet ${network.name}`, () => ({
      of: featureFigures(features.reference, features.drawn),
      best: features.own === undefined ? undefined : featureFigures(features.reference, features.own),
    }));
    const { name } = network;
    const [distance, ofNetwork] = name === "inception-v3-fid" ? ["FID", ""] : ["Fréchet distance", ` (${name})`];
    figures.push(
      {
        key: `frechet.${name}`,
        label: `${distance}${ofNetwork}`,
        value: of.frechet,
        real: best?.frechet ?? null,
        better: "lower",
      },
      ...(["precision", "recall"] as const).map(
        (key): Figure => ({
          key: `${key}.${name}`,
          label: `${key} (${name})`,
          value: of[key],
          real: best?.[key] ?? null,
          better: "higher",
        }),
      ),
    );
    // Inception was never meant for perceptual distances.
    if (name.startsWith("inception")) continue;
    const own = real.isOfConditions ? real.own : undefined;
    const spread = await clock.time(`diversity ${name}`, () => ({
      of: meanDiversity(network, drawn, samples, peers),
      best: own === undefined ? null : (truths.diversity.get(name) ?? meanDiversity(network, own, samples, peers)),
    }));
    if (spread.best !== null) truths.diversity.set(name, spread.best);
    figures.push({
      key: `diversity.${name}`,
      label: name === "vgg16-lpips" ? "LPIPS diversity" : `perceptual diversity (${name})`,
      value: spread.of,
      real: spread.best,
      better: "higher",
    });
  }
  return figures;
}

/** Sliced Wasserstein distance, level by level and in the mean. */
export async function textureFigures({ drawn, real, seed, clock, truths }: Subject): Promise<Figure[]> {
  const count = Math.min(drawn.count, real.reference.count);
  const swd = await clock.time("SWD", () => {
    const own = real.own === undefined || truths.swd !== undefined ? [] : [real.own];
    const sets = [drawn, ...own].map((set) => firstOf(set, count));
    const [of, best] = slicedWasserstein(firstOf(real.reference, count), sets, { seed });
    truths.swd ??= best;
    return { of: of!, best: truths.swd };
  });
  return [
    ...swd.of.levels.map(
      ({ side, distance }, i): Figure => ({
        key: `swd.${side}`,
        label: `SWD × 1000, ${side} px`,
        value: distance,
        real: swd.best?.levels[i]?.distance ?? null,
        better: "lower",
      }),
    ),
    { key: "swd", label: "SWD × 1000, mean", value: swd.of.mean, real: swd.best?.mean ?? null, better: "lower" },
  ];
}

/** How well the drawn images follow their conditions; for real images, how well the real ones follow theirs. */
export async function fidelityFigures(
  { dataset, rows, samples, drawn, heldOut, clock }: Subject,
  fidelity: Fidelity | undefined,
): Promise<Figure[]> {
  if (fidelity === undefined) return [];
  const { conditions } = dataset.validation.batch(rows);
  const length = conditionLength(dataset.condition, dataset.size);
  const drawnWell = await clock.time("fidelity", () => fidelity.score(drawn, repeated(conditions, length, samples)));
  const real = fidelity.score(heldOut, conditions);
  return drawnWell.map((figure, i) => ({ ...figure, real: real[i]!.value }));
}

/** Every block of `length` bytes `times` times over. */
function repeated(blocks: Uint8Array, length: number, times: number): Uint8Array {
  const out = new Uint8Array(blocks.length * times);
  for (let at = 0; at < blocks.length; at += length)
    for (let i = 0; i < times; i++) out.set(blocks.subarray(at, at + length), at * times + i * length);
  return out;
}

/** How what conditions leave open is spread in the drawn images and in true ones of the same conditions. */
export async function openFigures({ drawn, real, clock, truths }: Subject, open: OpenTraits, ids: readonly string[]) {
  return await clock.time("calibration", async () => {
    truths.calibration ??= await calibration(open, ids, real.own!);
    return { drawn: await calibration(open, ids, drawn), real: truths.calibration };
  });
}

/** The means over traits of a calibration. @param what it is of, such as `colors` */
export function calibrationFigures(what: string, { drawn, real }: NonNullable<RunScore["calibration"]>): Figure[] {
  const row = (key: keyof Calibration["mean"], label: string, better: Figure["better"]): Figure => ({
    key: `${what}.${key}`,
    label,
    value: drawn.mean[key],
    real: real.mean[key],
    better,
  });
  return [
    row("totalVariation", `${what} of a condition, total variation`, "lower"),
    row("pooledTotalVariation", `${what} of all, total variation`, "lower"),
    row("coverage", `${what} of a condition, coverage`, "higher"),
  ];
}

/** What readers know figures of conditions by. */
const CONDITION_LABELS: Readonly<Record<string, string>> = { mapIou: "mIoU", f1: "F1" };

/** What the models make of held-out pairs. */
export function modelRows(models: ModelFigures): Figure[] {
  const row = (key: string, label: string, value: number, better: Figure["better"]): Figure => ({
    key,
    label,
    value,
    real: null,
    better,
  });
  return [
    row("psnr", "reconstruction, PSNR in dB", models.psnr, "higher"),
    row("ssim", "reconstruction, SSIM", models.ssim, "higher"),
    ...Object.entries(models.condition).map(([name, value]) =>
      row(`condition.${name}`, `reconstruction of conditions, ${CONDITION_LABELS[name] ?? name}`, value, "higher"),
    ),
    row("bitsPerToken", "bits an image token", models.bitsPerToken, "lower"),
    row("bitsAnImage", "bits an image", models.bitsAnImage, "lower"),
    ...(["image", "condition"] as const).flatMap((half) => [
      row(`codebook.${half}.active`, `${half} codes in use`, models.codebook[half].active, "higher"),
      row(`codebook.${half}.perplexity`, `${half} codes, perplexity`, models.codebook[half].perplexity, "higher"),
    ]),
  ];
}
