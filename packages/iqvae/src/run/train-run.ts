import { manualSeed } from "@iqvae/torch";
import {
  expectBothParts,
  heldOutPart,
  Loader,
  type OpenRequest,
  openDataset,
  type PairDataset,
} from "../data/index.ts";
import type { IqVae } from "../models/iqvae.ts";
import { openPerceptualNetwork, perceptualLoss } from "../stage1/perceptual.ts";
import { Stage1Trainer } from "../stage1/trainer.ts";
import { tokensOf } from "../stage2/tokens.ts";
import { Stage2Trainer } from "../stage2/trainer.ts";
import { makeFolder } from "../support/files.ts";
import { type Interrupt, InterruptedError, interruptible } from "../support/interrupt.ts";
import type { Progress } from "../support/progress.ts";
import { listCheckpoints, readCheckpoint } from "./checkpoint.ts";
import { lockRun } from "./lock.ts";
import { train } from "./loop.ts";
import { drawReconstructions, drawSamples } from "./pictures.ts";
import type { RunFolder } from "./run-folder.ts";
import { EventLog } from "./tensorboard/event-log.ts";

/** Progress reporting and cancellation for a training run. */
export interface TrainingContext {
  readonly progress: Progress;
  readonly interrupt: Pick<Interrupt, "requested">;
}

/**
 * Trains a run to its end, from wherever it stands: data, stage 1, tokens, stage 2.
 *
 * @returns `interrupted` when it was asked to stop. All that was trained is saved then; data that were being drawn, or encoded,
 *   are begun anew the next time.
 * @throws as {@link train}
 */
export async function trainRun(run: RunFolder, context: TrainingContext): Promise<"finished" | "interrupted"> {
  // An interrupted copy of a run may lack folders that were empty.
  makeFolder(run.checkpoints);
  makeFolder(run.samples);
  const unlock = lockRun(run.path);
  const events = new EventLog(run.tensorboard);
  run.log.mirror(events);
  try {
    const dataset = await openData(run.config.data, interruptible(context.progress, context.interrupt));
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
    events.close();
    unlock();
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
  events: EventLog,
  { progress, interrupt }: TrainingContext,
): Promise<"finished" | "interrupted"> {
  const { config } = run;
  const preparation = interruptible(progress, interrupt);
  const network = await openPerceptualNetwork(config, preparation);
  // Each stage has a seed of its own, so that the second begins alike whether or not the first was interrupted.
  manualSeed(config.seed);
  const { precision } = config;
  const distance = network === null ? undefined : perceptualLoss(network);
  const first = new Stage1Trainer({ config: config.stage1, precision, dataset, distance });
  const outcome = await train({
    run,
    stage: "stage1",
    trainer: first,
    loader: new Loader(dataset.train.length, config.seed),
    steps: config.stage1.steps,
    rows: config.stage1.batch,
    progress,
    interrupt,
    draw: async (step) => {
      const picture = await drawReconstructions(run, first.model, dataset, step);
      events.picture("stage1", step, "reconstructions", picture);
    },
  });
  if (outcome === "interrupted" || interrupt.requested) return "interrupted";

  const tokens = await encodeData(run, first.model, dataset, preparation);
  manualSeed(config.seed + 1);
  const second = new Stage2Trainer({ config: config.stage2, precision, ...tokens });
  return await train({
    run,
    stage: "stage2",
    trainer: second,
    loader: new Loader(dataset.train.length, config.seed + 1),
    steps: config.stage2.steps,
    rows: config.stage2.batch * config.stage2.accumulate,
    progress,
    interrupt,
    draw: async (step) => {
      const picture = await drawSamples(run, { iqvae: first.model, trainer: second }, dataset, step);
      events.picture("stage2", step, "samples", picture);
    },
  });
}

async function encodeData(run: RunFolder, model: IqVae, dataset: PairDataset, progress: Progress) {
  let begun = false;
  const newest = listCheckpoints(run.checkpoints, "stage1")[0];
  if (newest === undefined) throw new Error(`${run.path} has no checkpoint of stage 1 to encode the data with.`);
  const tokens = await tokensOf({
    precision: run.config.precision,
    model,
    dataset,
    path: run.tokens,
    weights: readCheckpoint(newest.path).tensors.sha256,
    onProgress: (done, total) => {
      if (!begun) progress.begin("encoding the data", total, 0);
      begun = true;
      progress.update(done);
    },
  });
  if (begun) progress.end();
  return tokens;
}
