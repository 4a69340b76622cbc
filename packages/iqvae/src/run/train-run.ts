import { createHash } from "node:crypto";
import { manualSeed } from "@iqvae/torch";
import type { Config } from "../config/index.ts";
import {
  expectBothParts,
  heldOutPart,
  Loader,
  type OpenRequest,
  openDataset,
  type PairDataset,
  spreadRows,
  withHandDrawn,
} from "../data/index.ts";
import type { IqVae } from "../models/iqvae.ts";
import { openPerceptualNetwork, perceptualLoss } from "../stage1/perceptual.ts";
import { Stage1Trainer } from "../stage1/trainer.ts";
import { tokensOf } from "../stage2/tokens.ts";
import { Stage2Trainer } from "../stage2/trainer.ts";
import { makeFolder } from "../support/files.ts";
import { type Interrupt, InterruptedError, interruptible } from "../support/interrupt.ts";
import { loadKernels } from "../support/kernels.ts";
import type { Peers } from "../support/peers.ts";
import { type Progress, silent } from "../support/progress.ts";
import { firstOfMachine, onFirst } from "../support/share.ts";
import { basisOf, DATA, expectSameConfig, PAIRS, TOKENS } from "./basis.ts";
import { listCheckpoints, readCheckpoint } from "./checkpoint.ts";
import { lockRun } from "./lock.ts";
import { train } from "./loop.ts";
import { drawReconstructions, drawSamples } from "./pictures.ts";
import { withPretrained } from "./pretrained.ts";
import { openRun, type RunFolder } from "./run-folder.ts";
import { EventLog } from "./tensorboard/event-log.ts";

/** Progress reporting and cancellation for a training run. */
export interface TrainingContext {
  readonly progress: Progress;
  readonly interrupt: Pick<Interrupt, "requested">;
  /** The processes that train it together, if there are several: each calls {@link trainRun} with its own. Only the first speaks. */
  readonly peers?: Peers | undefined;
}

/**
 * Trains a run to its end, from wherever it stands: data, stage 1, tokens, stage 2.
 *
 * @returns `interrupted` when it was asked to stop. All that was trained is saved then; data that were being drawn, or encoded,
 *   are begun anew the next time.
 * @throws as {@link train}
 */
export async function trainRun(run: RunFolder, context: TrainingContext): Promise<"finished" | "interrupted"> {
  if (training !== undefined) {
    throw new Error(
      `${run.path} cannot be trained while this process trains ${training}: both would draw from one random generator. ` +
        `Wait for the other, or train in a process of its own.`,
    );
  }
  loadKernels(); // Some are first needed after hours.
  training = run.path;
  try {
    return await trainAlone(run, context);
  } finally {
    training = undefined;
  }
}

/** The run that this process trains. */
let training: string | undefined;

async function trainAlone(run: RunFolder, context: TrainingContext): Promise<"finished" | "interrupted"> {
  const { peers, interrupt } = context;
  peers?.attend(interrupt);
  let unlock = () => {};
  await onFirst(peers, () => {
    // An interrupted copy of a run may lack folders that were empty.
    makeFolder(run.checkpoints);
    makeFolder(run.samples);
    unlock = lockRun(run.path);
  });
  try {
    return await trainLocked(run, peers === undefined ? context : together(context, peers));
  } finally {
    unlock();
  }
}

/** Of several processes one speaks, and all stop when one is asked to. */
function together(context: TrainingContext, peers: Peers): TrainingContext {
  return { ...context, interrupt: peers.wish, ...(!peers.isFirst && { progress: silent }) };
}

/** @throws RangeError when processes cannot share the batches of a configuration evenly */
export function expectShares(peers: Peers | undefined, { stage1, stage2 }: Config): void {
  peers?.expectShares("stage1.batch", stage1.batch);
  peers?.expectShares("stage2.batch × stage2.accumulate", stage2.batch * stage2.accumulate);
}

async function trainLocked(run: RunFolder, context: TrainingContext): Promise<"finished" | "interrupted"> {
  const { peers } = context;
  await onFirst(peers, () => {
    expectSameConfig(run);
    expectShares(peers, run.config);
  });
  const events = peers === undefined || peers.isFirst ? new EventLog(run.tensorboard) : undefined;
  run.log.mirror(events);
  try {
    const open = () => openData(run.config.data, interruptible(context.progress, context.interrupt));
    const dataset = await firstOfMachine(peers, open);
    try {
      expectBothParts(dataset);
      // All that training looks at is of this part: losses, pictures, and so the choice of weights.
      return await trainStages(run, heldOutPart(dataset, "selection"), events, context);
    } finally {
      dataset.close();
    }
  } catch (error) {
    if (error instanceof InterruptedError) return "interrupted";
    throw error;
  } finally {
    run.log.mirror(undefined);
    events?.close();
  }
}

/**
 * Draws the data of a training if need be, for whoever is about to do something long before it.
 *
 * @throws Error when they cannot be had, or one part of them is empty
 */
export async function expectData({ data }: Pick<Config, "data">, progress: Progress): Promise<void> {
  const dataset = await openData(data, progress);
  try {
    expectBothParts(dataset);
  } finally {
    dataset.close();
  }
}

/** Opens a data set, drawing it first if need be. */
export async function openData(data: OpenRequest, progress: Progress): Promise<PairDataset> {
  let begun: string | undefined;
  const request = {
    ...data,
    onProgress: (done: number, total: number, task: string) => {
      if (task !== begun) {
        if (begun !== undefined) progress.end();
        progress.begin(`${task} ${data.name}`, total, 0);
        begun = task;
      }
      progress.update(done);
    },
    onMessage: (text: string) => progress.tell(text, { event: "data", text }),
  } satisfies OpenRequest;
  try {
    return await openDataset(request);
  } finally {
    if (begun !== undefined) progress.end();
  }
}

async function trainStages(
  run: RunFolder,
  dataset: PairDataset,
  events: EventLog | undefined,
  context: TrainingContext,
): Promise<"finished" | "interrupted"> {
  const { config } = run;
  const { peers, interrupt } = context;
  const preparation = interruptible(context.progress, interrupt);
  const model = await trainStage1(run, dataset, events, context, preparation);
  if (model === undefined || (peers?.any(interrupt.requested) ?? interrupt.requested)) return "interrupted";

  const weights = await onFirst(peers, () => stage1Weights(run));
  const { train: all, validation } = await encodeData({ run, model, dataset, weights, peers }, preparation);
  const { pairs: most } = config.stage2;
  const pairs = most === null ? all : all.subset(spreadRows(dataset.train, most));
  const trainer = withPretrained(run, "stage2", context, openRun, (pretrained) => {
    manualSeed(config.seed + 1);
    return new Stage2Trainer({
      config: config.stage2,
      precision: config.precision,
      train: pairs,
      validation,
      codebook: model.image.quantizer.codebook,
      pretrained: pretrained && { ...pretrained, model: pretrained.transformer },
      peers,
    });
  });
  return await train({
    run,
    stage: "stage2",
    trainer,
    loader: new Loader(pairs.count, config.seed + 1),
    steps: config.stage2.steps,
    rows: config.stage2.batch * config.stage2.accumulate,
    keepAt: config.keepAt,
    basis: { ...basisOf(config, "stage2"), [PAIRS]: pairs.count, [DATA]: digestOf(dataset.key), [TOKENS]: weights },
    ...context,
    draw: async (step) => {
      const picture = await drawSamples(run, { iqvae: model, trainer }, dataset, step);
      events?.picture("stage2", step, "samples", picture);
    },
  });
}

/** @returns the trained model alone, nothing of its training; undefined when it was asked to stop */
async function trainStage1(
  run: RunFolder,
  dataset: PairDataset,
  events: EventLog | undefined,
  context: TrainingContext,
  preparation: Progress,
): Promise<IqVae | undefined> {
  const { config } = run;
  const { peers } = context;
  const open = () => openPerceptualNetwork(config, preparation);
  const network = await firstOfMachine(peers, open);
  const distance = network === null ? undefined : perceptualLoss(network);
  const trainer = withPretrained(run, "stage1", context, openRun, (models) => {
    // Each stage has a seed of its own, so that the second begins alike whether or not the first was interrupted.
    manualSeed(config.seed);
    const pretrained = models && { ...models, model: models.iqvae };
    const { stage1, precision } = config;
    return new Stage1Trainer({ config: stage1, precision, dataset, distance, pretrained, peers });
  });
  const outcome = await train({
    run,
    stage: "stage1",
    trainer,
    loader: new Loader(dataset.train.length, config.seed),
    steps: config.stage1.steps,
    rows: config.stage1.batch,
    basis: { ...basisOf(config, "stage1"), [PAIRS]: dataset.train.length, [DATA]: digestOf(dataset.key) },
    ...context,
    draw: async (step) => {
      const picture = await drawReconstructions(run, trainer.model, dataset, step);
      events?.picture("stage1", step, "reconstructions", picture);
    },
  });
  if (outcome === "interrupted") return undefined;
  peers?.releaseGradients();
  return modelOf(trainer);
}

/** Releases all but the model: moments, gradients and discriminator are several times its size, and stage 2 trains for hours. */
function modelOf(trainer: Stage1Trainer): IqVae {
  for (const [name, tensor] of trainer.tensors()) if (!name.startsWith("model.")) tensor.dispose();
  for (const parameter of trainer.model.namedParameters().values()) parameter.grad = undefined;
  return trainer.model;
}

/** What the weights of stage 1 are known by. */
function stage1Weights(run: RunFolder): string {
  const newest = listCheckpoints(run.checkpoints, "stage1")[0];
  if (newest === undefined) throw new Error(`${run.path} has no checkpoint of stage 1 to encode the data with.`);
  return readCheckpoint(newest.path).tensors.sha256;
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

async function encodeData(
  {
    run,
    model,
    dataset,
    weights,
    peers,
  }: { run: RunFolder; model: IqVae; dataset: PairDataset; weights: string; peers: Peers | undefined },
  progress: Progress,
) {
  let begun = false;
  const drawn = withHandDrawn(dataset, run.config.stage2.handDrawn);
  const tokens = await tokensOf({
    precision: run.config.precision,
    model,
    dataset: drawn,
    path: run.tokens,
    peers,
    source: digestOf(`${weights} ${drawn.key}`),
    onProgress: (done, total) => {
      if (!begun) progress.begin("encoding the data", total, 0);
      begun = true;
      progress.update(done);
    },
  });
  if (begun) progress.end();
  return tokens;
}
