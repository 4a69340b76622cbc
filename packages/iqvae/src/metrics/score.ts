import { checkSampleOptions, type DrawOptions, type SampleOptions } from "@iqvae/runtime";
import type { Config } from "../config/index.ts";
import { heldOutPart, SCORED_PARTS, type ScoredPart, spreadRows } from "../data/index.ts";
import type { FeatureNetwork } from "../features/network.ts";
import { openFeatureNetwork } from "../features/open.ts";
import { type ExportedModel, loadExported } from "../run/exported.ts";
import type { Models } from "../run/restore.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { openData } from "../run/train-run.ts";
import { weightsDigest } from "../run/weights.ts";
import { ImageGenerator } from "../sampling/generator.ts";
import type { Peers } from "../support/peers.ts";
import { type Progress, silent } from "../support/progress.ts";
import { firstOfMachine } from "../support/share.ts";
import { Clock } from "./clock.ts";
import { type Drawer, drawHeldOut } from "./draw-held-out.ts";
import { FeatureStore } from "./feature-store.ts";
import { fidelityOf } from "./fidelity/fidelity.ts";
import type { Fidelity } from "./fidelity/measure.ts";
import {
  calibrationFigures,
  fidelityFigures,
  modelRows,
  networkFigures,
  openFigures,
  type Subject,
  textureFigures,
} from "./figures.ts";
import type { ImageSet } from "./image-set.ts";
import { defaultJudge, expectImpartial, type JudgedConfig } from "./judges.ts";
import { modelFigures, reconstructionsOf } from "./model-figures.ts";
import { PLAIN_JUDGES } from "./plain-judges.ts";
import { allTrueImages } from "./real-images.ts";
import { expectFinite, type RunScore, SCORE_FORMAT } from "./run-score.ts";
import { type TripleTruth, tripleFigures, tripleTruth } from "./triple.ts";
import { Truths } from "./truths.ts";

/** What a run is scored by. */
export interface ScoreOptions {
  /** Held-out conditions, spread over their part; all of them if there are fewer. */
  readonly conditions: number;
  /** The part of the held-out pairs that every figure is of. Default: `report`; `tune` while settings are looked for. */
  readonly part?: ScoredPart;
  /** Images drawn for each, at least 2. */
  readonly samples: number;
  /** Decides samples, patches and the choice of real images. */
  readonly seed: number;
  readonly sampling?: DrawOptions & Pick<SampleOptions, "guidance">;
  /** Feature networks, each with figures of its own. Default: {@link defaultJudge}. */
  readonly networks?: readonly FeatureNetwork[];
  /** What is known of true images from scorings with the same data, part, counts and seed. Default: nothing. */
  readonly truths?: Truths;
  /** How well images follow conditions. Default: {@link fidelityOf} the run's data. */
  readonly fidelity?: Fidelity;
  readonly progress?: Progress;
  /** The processes that draw and measure together, if there are several: each calls with its own, and all get the score. */
  readonly peers?: Peers | undefined;
}

/** Held-out pairs that reconstruction and likelihood are measured on. */
const MODEL_PAIRS = 512;

/**
 * Draws images for held-out conditions of a run, of one part of them, and measures them: how close they come to real images, how varied they are, how
 * well they follow their conditions, and for `faces` whether their colors are spread as the true ones are.
 *
 * @throws RangeError for options that mean nothing, among them guidance of a model that was never trained without conditions, or
 *   a figure that is not finite; Error when the run has not come to stage 2 yet, a network is that of its perceptual term, or no
 *   pair is left for the part
 */
export async function scoreRun(run: RunFolder, options: ScoreOptions): Promise<RunScore> {
  expectMeasurable(run, options);
  using generator = ImageGenerator.load(run);
  const [score] = await scoreAll(run, [trained(run, generator, weightsDigest(run))], options);
  return score!;
}

/**
 * The same of an exported model, which draws without libtorch. What its two models make of held-out pairs, and what stage 1 costs, is not
 * among the figures: the image's encoder is not exported.
 *
 * @throws as {@link scoreRun}; ModelError for a damaged folder
 */
export async function scoreExported(model: ExportedModel, options: ScoreOptions): Promise<RunScore> {
  expectMeasurable(model, options);
  await using generator = await loadExported(model.path);
  // Whatever the model's own settings are: those of the score count.
  const all = { temperature: 1, topK: generator.model.autoencoders.image.codes, topP: 1, guidance: 1 };
  const draw: Contender["draw"] = (conditions, wanted) => generator.draw(conditions, { ...all, ...wanted });
  const [score] = await scoreAll(model, [{ draw, weights: model.weights }], options);
  return score!;
}

/** What draws, and is measured. */
interface Contender extends Drawer {
  /** What its weights are known by. */
  readonly weights: string;
  /** Of a run: both its models. */
  readonly trained?: { readonly models: Models; readonly config: Config };
}

function trained({ config }: RunFolder, generator: ImageGenerator, weights = "unknown"): Contender {
  return {
    draw: (conditions, options) => generator.draw(conditions, options),
    weights,
    trained: { models: generator.models, config },
  };
}

/**
 * The same with the weights that a run had after several steps of stage 2, which share what true images and reconstructions take.
 *
 * @param steps those that checkpoints were kept of (`keepAt`)
 * @returns a score for each step
 * @throws as {@link scoreRun}; CheckpointError when there is no checkpoint of a step
 */
export async function scoreSteps(run: RunFolder, steps: readonly number[], options: ScoreOptions): Promise<RunScore[]> {
  expectMeasurable(run, options);
  const generators: ImageGenerator[] = [];
  try {
    for (const step of steps)
      generators.push(ImageGenerator.load({ config: run.config, loadModels: () => run.loadModels(step) }));
    const contenders = generators.map((generator, i) => trained(run, generator, weightsDigest(run, steps[i])));
    return await scoreAll(run, contenders, options);
  } finally {
    for (const generator of generators) generator.dispose();
  }
}

/** Before anything is loaded, drawn, trained or fetched. @throws as {@link scoreRun} */
export function expectMeasurable(run: RunFolder | ExportedModel, options: ScoreOptions): void {
  const { samples, seed, part = "report", sampling, networks = [] } = options;
  if (!Number.isInteger(samples) || samples < 2)
    throw new RangeError(
      `scoreRun takes at least 2 samples of each condition, or diversity means nothing, not ${samples}.`,
    );
  if (!Number.isInteger(options.conditions) || options.conditions < 1)
    throw new RangeError(`scoreRun takes at least 1 condition, not ${options.conditions}.`);
  if (!SCORED_PARTS.includes(part))
    throw new RangeError(`scoreRun takes one of the parts ${SCORED_PARTS.join(", ")}, not ${part}.`);
  const unconditional = "loadModels" in run ? run.config.stage2.conditionDropout > 0 : run.unconditional;
  checkSampleOptions({ ...sampling, seed }, { unconditional });
  expectImpartial(run.path, run.config, networks);
}

/** A run or an exported model. */
type Measured = Pick<RunFolder, "path"> & { readonly config: JudgedConfig };

/** @param contenders of one run, so that their stages 1 are equal */
async function scoreAll(run: Measured, contenders: readonly Contender[], options: ScoreOptions): Promise<RunScore[]> {
  const { samples, seed, progress = silent, peers } = options;
  const { config } = run;
  const part = options.part ?? "report";
  const all = await firstOfMachine(peers, () => openData(config.data, progress));
  using own = new Truths();
  const truths = options.truths ?? own;
  using features = new FeatureStore(truths.features, peers);
  try {
    const dataset = heldOutPart(all, part);
    const rows = spreadRows(dataset.validation, options.conditions);
    const judge = () => openFeatureNetwork(defaultJudge(dataset, [config]), { progress });
    const networks = options.networks ?? [await firstOfMachine(peers, judge)];
    const fidelity = options.fidelity ?? (await firstOfMachine(peers, () => fidelityOf(all, { progress })));
    const ids = rows.map((row) => dataset.validation.ids[row]!);
    const clock = new Clock(progress);
    const chosen = `${dataset.key}, ${part}, ${ids.length} conditions × ${samples}, seed ${seed}`;
    const truth = await clock.time("real images", () =>
      truths.images(chosen, () => allTrueImages(dataset, rows, samples, seed)),
    );
    const { real, heldOut } = truth;
    const scores: RunScore[] = [];
    let sets: TripleTruth | undefined;
    for (const contender of contenders) {
      const { trained: own } = contender;
      if (own !== undefined) {
        const reconstruct = (set: ImageSet) => reconstructionsOf(own.models.iqvae, own.config, dataset.condition, set);
        sets ??= await clock.time("reconstructions", () => tripleTruth({ truth, samples, reconstruct }));
      }
      const drawn = await clock.time("drawing", () =>
        drawHeldOut(contender, dataset, rows, { ...options.sampling, samples, seed }, progress, peers),
      );
      const subject: Subject = { dataset, rows, samples, seed, drawn, real, heldOut, clock, features, truths, peers };
      const { weights } = contender;
      scores.push(await scoreOf({ run, weights, part, ids, sets, networks, fidelity, trained: own, subject, options }));
    }
    return scores;
  } finally {
    all.close();
  }
}

interface Scoring {
  readonly run: Measured;
  readonly weights: string;
  readonly part: ScoredPart;
  readonly ids: readonly string[];
  readonly sets: TripleTruth | undefined;
  readonly networks: readonly FeatureNetwork[];
  readonly fidelity: Fidelity | undefined;
  readonly trained: Contender["trained"];
  readonly subject: Subject;
  readonly options: ScoreOptions;
}

async function scoreOf(scoring: Scoring): Promise<RunScore> {
  const { run, weights, part, ids, networks, fidelity, subject, options } = scoring;
  const { dataset, rows, drawn, clock } = subject;
  const { samples, seed, sampling = {} } = options;
  const sets = scoring.sets && { ...scoring.sets, drawn: scoring.sets.counted(drawn) };
  const figures = [
    ...(sets === undefined ? [] : await tripleFigures(sets, [...networks, ...PLAIN_JUDGES], subject)),
    ...(await networkFigures(subject, networks)),
    ...(await textureFigures(subject)),
    ...(await fidelityFigures(subject, fidelity)),
  ];
  const open = dataset.facts?.open;
  const calibrated = open === undefined ? null : await openFigures(subject, open, ids);
  const own = scoring.trained;
  const ofModels =
    own &&
    (await clock.time("models", () =>
      modelFigures(own.models, own.config, dataset, spreadRows(dataset.validation, MODEL_PAIRS)),
    ));
  const shown = [
    ...figures,
    ...(open && calibrated ? calibrationFigures(open.what, calibrated) : []),
    ...(ofModels === undefined ? [] : modelRows(ofModels)),
  ];
  expectFinite(shown);
  return {
    format: SCORE_FORMAT,
    run: run.path,
    weights,
    settings: {
      data: dataset.name,
      dataKey: dataset.key,
      size: dataset.size,
      conditions: rows.length,
      part,
      samples,
      seed,
      temperature: sampling.temperature ?? 1,
      topK: sampling.topK ?? null,
      topP: sampling.topP ?? 1,
      guidance: sampling.guidance ?? 1,
    },
    networks: {
      ...Object.fromEntries(networks.map(({ name, digest }) => [name, digest])),
      ...fidelity?.networks,
    },
    figures: shown,
    calibration: calibrated,
    seconds: { ...clock.seconds },
  };
}
