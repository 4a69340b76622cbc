import type { PairDataset } from "../data/index.ts";
import { ImageGenerator } from "../generator.ts";
import type { DrawOptions } from "../sampling/draw.ts";
import { heldOut } from "../training/pictures.ts";
import { type Progress, silent } from "../training/progress.ts";
import type { RunFolder } from "../training/run-folder.ts";
import { openData } from "../training/train-run.ts";
import { type Calibration, calibration } from "./calibration.ts";
import type { FeatureNetwork } from "./features/network.ts";
import { type FeatureNetworkSpec, openFeatureNetwork } from "./features/open.ts";
import { fidelityOf } from "./fidelity/fidelity.ts";
import { featureFigures, featuresOf, meanDiversity } from "./image-figures.ts";
import { type ImageSet, imageSet, joinImages } from "./image-set.ts";
import { modelFigures } from "./model-figures.ts";
import { faceMaps, type RealImages, realImages } from "./real-images.ts";
import type { Figure, RunScore } from "./run-score.ts";
import { slicedWasserstein } from "./swd.ts";

/** What a run is scored by. */
export interface ScoreOptions {
  /** Held-out conditions, spread over the split; all of them if there are fewer. */
  readonly conditions: number;
  /** Images drawn for each, at least 2. */
  readonly samples: number;
  /** Decides samples, patches and the choice of real images. */
  readonly seed: number;
  readonly sampling?: DrawOptions;
  /** Default: the one trained on the attributes of the run's own data. */
  readonly networks?: readonly FeatureNetworkSpec[];
  readonly progress?: Progress;
}

/** Held-out pairs that reconstruction and likelihood are measured on. */
const MODEL_PAIRS = 512;

/**
 * Draws images for held-out conditions of a run and measures them: how close they come to real images, how varied they are, how
 * well they follow their conditions, and for `faces` whether their colors are spread as the true ones are.
 *
 * @throws RangeError for fewer than 2 samples or no condition; Error when the run has not come to stage 2 yet
 */
export async function scoreRun(run: RunFolder, options: ScoreOptions): Promise<RunScore> {
  const { samples, seed, sampling = {}, progress = silent } = options;
  if (!Number.isInteger(samples) || samples < 2)
    throw new RangeError(
      `scoreRun takes at least 2 samples of each condition, or diversity means nothing, not ${samples}.`,
    );
  if (!Number.isInteger(options.conditions) || options.conditions < 1)
    throw new RangeError(`scoreRun takes at least 1 condition, not ${options.conditions}.`);
  const { config } = run;
  const generator = ImageGenerator.load(run);
  const dataset = await openData(config.data, progress);
  const clock = new Clock(progress);
  try {
    const rows = heldOut(dataset, options.conditions);
    const specs = options.networks ?? [ownNetwork(dataset)];
    const networks = await Promise.all(specs.map((spec) => openFeatureNetwork(spec, { progress })));
    const drawn = await clock.time("drawing", () => drawAll(generator, dataset, rows, options, progress));
    const ids = rows.map((row) => dataset.validation.ids[row]!);
    const real = await clock.time("real images", () => realImages(dataset, ids, samples, seed));
    const subject: Subject = { dataset, rows, samples, seed, drawn, real, clock };
    const figures = [
      ...(await networkFigures(subject, networks)),
      ...(await textureFigures(subject)),
      ...(await fidelityFigures(subject, progress)),
    ];
    const colors = dataset.name === "faces" ? await faceCalibration(subject, ids) : null;
    const models = await clock.time("models", () =>
      modelFigures(generator.models, config, dataset.validation, MODEL_PAIRS),
    );
    return {
      format: 1,
      run: run.path,
      settings: {
        data: dataset.name,
        size: dataset.size,
        conditions: rows.length,
        samples,
        seed,
        temperature: sampling.temperature ?? 1,
        topK: sampling.topK ?? null,
        topP: sampling.topP ?? 1,
      },
      networks: Object.fromEntries(networks.map(({ name, digest }) => [name, digest])),
      figures: [...figures, ...calibrationFigures(colors), ...modelRows(models)],
      calibration: colors,
      seconds: clock.seconds,
    };
  } finally {
    dataset.close();
  }
}

/** What is measured, and what it is held against. */
interface Subject {
  readonly dataset: PairDataset;
  /** Numbers of the held-out conditions. */
  readonly rows: readonly number[];
  readonly samples: number;
  readonly seed: number;
  /** `samples` images of each condition, one condition after the other. */
  readonly drawn: ImageSet;
  readonly real: RealImages;
  readonly clock: Clock;
}

/** The attributes of `faces` for faces; those of `emoji` for everything that is made of emoji, and as a stand-in for the rest. */
function ownNetwork({ name, size }: PairDataset): FeatureNetworkSpec {
  return { kind: "attributes", set: name === "faces" ? "faces" : "emoji", size };
}

/** Conditions that are drawn at once, so that progress is seen. */
const CONDITIONS_AT_ONCE = 16;

async function drawAll(
  generator: ImageGenerator,
  { validation, size }: PairDataset,
  rows: readonly number[],
  { samples, seed, sampling = {} }: ScoreOptions,
  progress: Progress,
): Promise<ImageSet> {
  const total = rows.length * samples;
  const images: Uint8Array[] = [];
  progress.begin("drawing images", total, 0);
  for (let first = 0; first < rows.length; first += CONDITIONS_AT_ONCE) {
    const some = rows.slice(first, first + CONDITIONS_AT_ONCE);
    const { conditions } = validation.batch(some);
    const rasters = some.map((_, i) => conditions.subarray(i * size ** 2, (i + 1) * size ** 2));
    const onProgress = (share: number) => progress.update(Math.floor((first + share * some.length) * samples));
    images.push(...generator.draw(rasters, { ...sampling, samples, seed, onProgress }).flat());
    await new Promise(setImmediate);
  }
  progress.end();
  return joinImages(images, size);
}

async function networkFigures(subject: Subject, networks: readonly FeatureNetwork[]): Promise<Figure[]> {
  const { drawn, real, samples, dataset, clock } = subject;
  const figures: Figure[] = [];
  for (const network of networks) {
    const features = await clock.time(`features ${network.name}`, () => ({
      reference: featuresOf(network, real.reference),
      drawn: featuresOf(network, drawn),
      own: real.own === undefined ? undefined : featuresOf(network, real.own),
    }));
    const { of, best } = await clock.time(`Fréchet ${network.name}`, () => ({
      of: featureFigures(features.reference, features.drawn),
      best: features.own === undefined ? undefined : featureFigures(features.reference, features.own),
    }));
    for (const tensor of Object.values(features)) tensor?.dispose();
    const { name } = network;
    figures.push(
      {
        key: `frechet.${name}`,
        label: name === "inception-v3-fid" ? "FID" : `Fréchet distance (${name})`,
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
    const own = dataset.name === "faces" ? real.own : undefined;
    const spread = await clock.time(`diversity ${name}`, () => ({
      of: meanDiversity(network, drawn, samples),
      best: own === undefined ? null : meanDiversity(network, own, samples),
    }));
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

async function textureFigures({ drawn, real, seed, clock }: Subject): Promise<Figure[]> {
  const count = Math.min(drawn.count, real.reference.count);
  const swd = await clock.time("SWD", () => ({
    of: slicedWasserstein(firstOf(real.reference, count), firstOf(drawn, count), { seed }),
    best:
      real.own === undefined
        ? undefined
        : slicedWasserstein(firstOf(real.reference, count), firstOf(real.own, count), { seed }),
  }));
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

function firstOf({ pixels, size }: ImageSet, count: number): ImageSet {
  return imageSet(pixels.subarray(0, count * size * size * 3), size);
}

async function fidelityFigures(
  { dataset, rows, samples, drawn, clock }: Subject,
  progress: Progress,
): Promise<Figure[]> {
  const fidelity = await fidelityOf(dataset, { progress });
  if (fidelity === undefined) return [];
  const { images, conditions } = dataset.validation.batch(rows);
  const value = await clock.time("fidelity", () =>
    fidelity.score(drawn, repeated(conditions, dataset.size ** 2, samples)),
  );
  const real = fidelity.score(imageSet(images, dataset.size), conditions);
  return [{ key: "fidelity", label: fidelity.name, value, real, better: "higher" }];
}

/** Every block of `length` bytes `times` times over. */
function repeated(blocks: Uint8Array, length: number, times: number): Uint8Array {
  const out = new Uint8Array(blocks.length * times);
  for (let at = 0; at < blocks.length; at += length)
    for (let i = 0; i < times; i++) out.set(blocks.subarray(at, at + length), at * times + i * length);
  return out;
}

async function faceCalibration({ dataset, samples, drawn, real, clock }: Subject, ids: readonly string[]) {
  return await clock.time("calibration", async () => {
    const maps = await faceMaps(ids, dataset.size);
    const spread = (set: ImageSet): Calibration => {
      const length = set.size ** 2 * 3;
      const image = (i: number) => set.pixels.subarray(i * length, (i + 1) * length);
      const faces = maps.map((map, c) => ({
        map,
        images: Array.from({ length: samples }, (_, s) => image(c * samples + s)),
      }));
      return calibration(faces, set.size);
    };
    return { drawn: spread(drawn), real: spread(real.own!) };
  });
}

function calibrationFigures(colors: RunScore["calibration"]): Figure[] {
  if (colors === null) return [];
  const { drawn, real } = colors;
  const row = (key: keyof Calibration["mean"], label: string, better: Figure["better"]): Figure => ({
    key: `colors.${key}`,
    label,
    value: drawn.mean[key],
    real: real.mean[key],
    better,
  });
  return [
    row("totalVariation", "colors of a condition, total variation", "lower"),
    row("pooledTotalVariation", "colors of all, total variation", "lower"),
    row("coverage", "colors of a condition, coverage", "higher"),
  ];
}

function modelRows(models: ReturnType<typeof modelFigures>): Figure[] {
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
    row("bitsPerToken", "bits an image token", models.bitsPerToken, "lower"),
    ...(["image", "condition"] as const).flatMap((half) => [
      row(`codebook.${half}.active`, `${half} codes in use`, models.codebook[half].active, "higher"),
      row(`codebook.${half}.perplexity`, `${half} codes, perplexity`, models.codebook[half].perplexity, "higher"),
    ]),
  ];
}

/** Wall time of the parts of a scoring. */
class Clock {
  readonly seconds: Record<string, number> = {};
  readonly #progress: Progress;

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  async time<T>(part: string, body: () => T | Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await body();
    const seconds = (performance.now() - start) / 1000;
    this.seconds[part] = (this.seconds[part] ?? 0) + seconds;
    this.#progress.tell(`${part}: ${seconds.toFixed(1)} s`, { event: "timed", part, seconds });
    return result;
  }
}
