import { GroupError, SafetensorsError, scope, type Tensor, torchVersion, WriteError } from "@iqvae/torch";
import type { Loader, LoaderState } from "../data/index.ts";
import type { Interrupt } from "../support/interrupt.ts";
import type { Peers } from "../support/peers.ts";
import type { Progress } from "../support/progress.ts";
import { restoreRandomStates, withOwnRandomness } from "../support/random-state.ts";
import { onFirst } from "../support/share.ts";
import type { Stage, Trainer } from "../support/trainer.ts";
import { type Basis, DATA, expectBasis } from "./basis.ts";
import {
  type Checkpoint,
  type CheckpointContent,
  listCheckpoints,
  lowestLoss,
  readCheckpoint,
  readCheckpointTensors,
  saveCheckpoint,
} from "./checkpoint.ts";
import { Means } from "./metrics-log.ts";
import type { RunFolder } from "./run-folder.ts";

/** What a stage's training is made of. */
export interface Training {
  readonly run: RunFolder;
  readonly stage: Stage;
  readonly trainer: Trainer;
  /** Decides the order of the training rows. */
  readonly loader: Loader;
  /** Steps in all, those of an earlier session included. */
  readonly steps: number;
  /** Rows of one step. */
  readonly rows: number;
  /** Steps after which a checkpoint is written that stays. */
  readonly keepAt?: readonly number[];
  /** What the weights follow from: a checkpoint of another basis is refused. */
  readonly basis: Basis;
  readonly progress: Progress;
  readonly interrupt: Pick<Interrupt, "requested">;
  /** The processes that train it together, if there are several. The first of them reads and writes for all. */
  readonly peers?: Peers | undefined;
  /** Draws pictures of what was learned so far. */
  readonly draw?: (step: number) => Promise<void>;
}

/** The loss or a weight is not a number any more. */
export class DivergedError extends Error {
  override readonly name = "DivergedError";
}

/**
 * Trains a stage to its end, from its newest checkpoint if there is one.
 *
 * Equal configurations end in equal bits, however often the training was interrupted or killed on the way.
 *
 * @returns `interrupted` when it was asked to stop; the present state is saved then
 * @throws DivergedError for a loss that is not a number; CheckpointError for a damaged checkpoint; Error when the disk is full.
 *   The checkpoints so far are whole in each case.
 */
export async function train(training: Training): Promise<"finished" | "interrupted"> {
  const { run, stage, trainer, loader, steps, rows, keepAt = [], basis, progress, interrupt, peers, draw } = training;
  const { logEvery, evaluateEvery, checkpointEvery, sampleEvery, seed } = run.config;
  const means = new Means();
  const begun = await onFirst(peers, () => resume(training, means));
  let { step, evaluation } = begun;
  if (peers !== undefined) takeOver(peers, training, means, begun);
  /** Where the loader stood after the last step that was made. */
  let position: LoaderState = loader.state;
  const due = (every: number) => step % every === 0 || step === steps;
  const asked = () => (peers === undefined ? interrupt.requested : peers.stopping);
  const saveNow = () => {
    save(training, {
      stage,
      step,
      basis,
      loader: position,
      means: means.state,
      trainer: trainer.state(),
      evaluation,
      ...(peers !== undefined && peers.size > 1 && { processes: peers.size }),
    });
  };
  /** Whether no checkpoint so far has a lower held-out loss. The run draws with the lowest, so it must not depend on where checkpoints fall. */
  const isLowest = () => (evaluation?.figures.loss ?? Number.POSITIVE_INFINITY) <= lowestLoss(run.checkpoints, stage);
  /** Writes what is due at this step into the log, except for what it has already. */
  const record = async (has: ReadonlySet<string> = new Set()) => {
    if (due(logEvery)) {
      if (means.count > 0 && !has.has("train"))
        await onFirst(peers, () => run.log.append({ stage, step, split: "train", ...means.current }));
      means.clear();
    }
    if (due(evaluateEvery) && !has.has("validation")) {
      const figures = await withOwnRandomness(seed, () => scope(() => trainer.evaluate()));
      await onFirst(peers, () => run.log.append({ stage, step, split: "validation", ...figures }));
      progress.tell(sentence(stage, step, figures), { event: "evaluation", stage, step, ...figures });
      evaluation = { step, figures };
    }
  };

  progress.begin(stage, steps, step);
  try {
    // A checkpoint may be newer than the log, where the disk of the log was full.
    if (step > 0) {
      const [count, at] = [means.count, evaluation?.step];
      await record(await onFirst(peers, () => run.log.splitsAt(stage, step)));
      if (means.count !== count || evaluation?.step !== at) await onFirst(peers, saveNow);
    }
    while (step < steps && !asked()) {
      peers?.beginStep(seed, stage, step);
      const metrics = scope(() => trainer.step(loader.next(rows)));
      step++;
      position = loader.state;
      if (!Number.isFinite(metrics.loss)) throw new DivergedError(`the loss became ${metrics.loss}`);
      means.add(metrics);
      progress.update(step, { loss: metrics.loss });

      await record();

      if (draw !== undefined && due(sampleEvery)) await onFirst(peers, () => withOwnRandomness(seed, () => draw(step)));

      // Signals are heard between steps only: a step does not let the event loop turn.
      await new Promise(setImmediate);

      const lowest = due(evaluateEvery) && (await onFirst(peers, isLowest));
      if (due(checkpointEvery) || keepAt.includes(step) || lowest || asked()) {
        if (peers !== undefined) keepAlike(peers, training, step);
        await onFirst(peers, () => {
          run.log.flush();
          saveNow();
        });
      }
    }
  } catch (error) {
    // The weights are good: what could not be written was about them, or there is room again for them alone.
    // They are, too, where another process was lost: that step has not been made.
    const first = peers === undefined || peers.isFirst;
    if (first && (error instanceof WriteError || (error instanceof GroupError && step > 0))) attempt(saveNow);
    throw withWayOn(error, training, step);
  } finally {
    progress.end();
    run.log.close();
  }
  return step >= steps ? "finished" : "interrupted";
}

/** Brings the other processes to where the first stands, whether it has just begun or has read a checkpoint. */
function takeOver(peers: Peers, { trainer, loader }: Training, means: Means, { resumed }: Begun): void {
  scope(() => {
    const tensors = trainer.tensors();
    peers.copyFirst([...tensors.values()]);
    if (resumed === null || peers.isFirst) return;
    trainer.restore(tensors, resumed.trainer);
    loader.restore(resumed.loader);
    means.restore(resumed.means);
  });
}

/** Weights that came out unlike, on machines that round differently, become those of the first. */
function keepAlike(peers: Peers, { stage, trainer, progress }: Training, step: number): void {
  scope(() => {
    const tensors = [...trainer.tensors().values()];
    if (peers.agreeOn(tensors)) return;
    const text = `${stage}, step ${step}: the weights of the processes have drifted apart; all go on with those of rank 0.`;
    progress.tell(text, { event: "drift", stage, step });
    peers.copyFirst(tensors);
  });
}

function attempt(action: () => void): void {
  try {
    action();
  } catch {}
}

/** Where a session begins. */
interface Begun extends Pick<Checkpoint, "step" | "evaluation"> {
  /** What was read of a checkpoint beside its tensors. */
  readonly resumed: Pick<Checkpoint, "trainer" | "loader" | "means"> | null;
}

/** Brings trainer, loader, log and random generators to where the newest checkpoint has them. */
function resume(training: Training, means: Means): Begun {
  const { run, stage, trainer, loader, steps, progress } = training;
  const path = listCheckpoints(run.checkpoints, stage)[0]?.path;
  if (path === undefined) {
    run.log.cutBack(stage, 0);
    return { step: 0, evaluation: null, resumed: null };
  }
  const checkpoint = readCheckpoint(path);
  expectBasis(path, checkpoint.basis, training.basis);
  const [was, is] = [checkpoint.basis?.[`${stage}.steps`], training.basis[`${stage}.steps`]];
  if (was !== undefined && is !== undefined && was !== is && checkpoint.step < steps) {
    const text = `${stage}.steps was ${was} and is ${is} now: the rates of the steps so far were laid out for ${was}.`;
    progress.tell(text, { event: "other-steps", stage, before: was, now: is });
  }
  scope(() => trainer.restore(readCheckpointTensors(path, checkpoint), checkpoint.trainer));
  loader.restore(checkpoint.loader);
  means.restore(checkpoint.means);
  // A stage that is finished has logged nothing since; what later stages logged must stay.
  if (checkpoint.step < steps) run.log.cutBack(stage, checkpoint.step);
  restoreRandomStates(checkpoint.random);
  if (checkpoint.versions.libtorch !== torchVersion()) {
    const text = `The run was trained with libtorch ${checkpoint.versions.libtorch} and goes on with ${torchVersion()}: not to the bit.`;
    progress.tell(text, { event: "other-libtorch", before: checkpoint.versions.libtorch, now: torchVersion() });
  }
  const [dataBefore, dataNow] = [checkpoint.basis?.[DATA], training.basis[DATA]];
  if (dataBefore !== undefined && dataNow !== undefined && dataBefore !== dataNow) {
    const text =
      `The data of ${stage} are not those that it was trained on so far: files of them were exchanged, or another version of a ` +
      "package drew them. It goes on with what is there now; for a result of one data set train a new run: npx iqvae train.";
    progress.tell(text, { event: "other-data", stage, before: dataBefore, now: dataNow });
  }
  const [before, now] = [checkpoint.processes ?? 1, training.peers?.size ?? 1];
  if (before !== now) {
    const text = `The run was trained in ${processes(before)} and goes on in ${processes(now)}: with the same batches, but not to the bit.`;
    progress.tell(text, { event: "other-processes", before, now });
  }
  const { trainer: state, loader: at, means: sums } = checkpoint;
  return {
    step: checkpoint.step,
    evaluation: checkpoint.evaluation,
    resumed: { trainer: state, loader: at, means: sums },
  };
}

const processes = (count: number) => (count === 1 ? "one process" : `${count} processes`);

function save({ run, trainer, keepAt, progress }: Training, content: CheckpointContent): void {
  scope(() => {
    const tensors = trainer.tensors();
    // A finite loss may still make infinite weights; a checkpoint of those would push out the good ones.
    for (const [name, tensor] of tensors) {
      if (!allFinite(tensor)) throw new DivergedError(`'${name}' holds a value that is not a number`);
    }
    const path = saveCheckpoint(run.checkpoints, content, tensors, keepAt);
    progress.tell("", { event: "checkpoint", stage: content.stage, step: content.step, path });
  });
}

function allFinite(tensor: Tensor): boolean {
  return !tensor.dtype.includes("float") || scope(() => tensor.isfinite().all().item() === 1);
}

/** Says which checkpoint is the last good one and what to do, where training failed for a reason outside of the program. */
function withWayOn(error: unknown, { run, stage, peers }: Training, step: number): unknown {
  const diverged = error instanceof DivergedError;
  const lost = error instanceof GroupError;
  if (!diverged && !lost && !(error instanceof WriteError) && !(error instanceof SafetensorsError)) return error;
  const last = listCheckpoints(run.checkpoints, stage)[0];
  const forgotten = diverged || last?.step === step ? "" : `; what was learned since is lost`;
  const kept =
    peers !== undefined && !peers.isFirst
      ? "Rank 0 saves what it has, and says so."
      : last === undefined
        ? `${stage} has no checkpoint yet.`
        : `The last good checkpoint is ${last.path}, of step ${last.step}${forgotten}.`;
  const advice = diverged
    ? `Resuming would meet the same numbers: train anew with a lower rate, for example --set ${stage}.rate=${run.config[stage].rate / 3}.`
    : `${lost ? "Go on from it, in as many processes" : "Then go on from it"}: npx iqvae resume ${run.path}`;
  const message = `Training of ${stage} stopped at step ${step}: ${error.message.replace(/\.$/, "")}. ${kept} ${advice}`;
  const Kind = diverged ? DivergedError : lost ? GroupError : WriteError;
  return new Kind(message, { cause: error });
}

/** What people are told of an evaluation; the log has all of it. */
const REPORTED = /^loss$|^bits$|Mse$|Accuracy$|Perplexity$/;

function sentence(stage: Stage, step: number, figures: Readonly<Record<string, number>>): string {
  const told = Object.entries(figures).filter(([name]) => REPORTED.test(name));
  const list = told.map(([name, value]) => `${name} ${Number(value.toPrecision(3))}`);
  return `${stage}, step ${step}, held out: ${list.join(", ")}`;
}
