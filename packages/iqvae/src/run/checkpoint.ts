import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import {
  ASIDE,
  getDefaultDevice,
  readSafetensors,
  readSafetensorsHeader,
  replaceFile,
  type Tensor,
  torchVersion,
  writeSafetensors,
} from "@iqvae/torch";
import { z } from "zod";
import { reasonOf } from "../media/read-file.ts";
import { gpuName, processor } from "../support/processor.ts";
import { randomStates } from "../support/random-state.ts";
import { STAGES, type Stage } from "../support/trainer.ts";
import { VERSION } from "../support/version.ts";

/** The number of the layout below; a change that old readers would misread raises it. */
export const CHECKPOINT_FORMAT = 1;

const count = z.int().min(0);
const figures = z.record(z.string(), z.number().nullable());

const checkpointSchema = z.object({
  format: z.literal(CHECKPOINT_FORMAT),
  stage: z.enum(STAGES),
  /** Steps done. */
  step: count,
  /** What the weights follow from; see `basis.ts`. Older checkpoints do not say. */
  basis: z.record(z.string(), z.json()).optional(),
  /** Where the order of the training rows stands. */
  loader: z.object({ epoch: count, position: count }),
  /** State of the default random generator of each device, in base64. */
  random: z.record(z.string(), z.base64()),
  /** Metrics since the last line of the log. */
  means: z.object({
    count,
    sums: z.record(z.string(), z.number()),
    counts: z.record(z.string(), count).optional(),
  }),
  /** What `Trainer.state` gave. */
  trainer: z.record(z.string(), z.unknown()),
  /** The newest held-out figures and the step that they are of. */
  evaluation: z.object({ step: count, figures }).nullable(),
  tensors: z.object({
    file: z.string().regex(/^[\w.-]+\.safetensors$/),
    bytes: count,
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  versions: z.object({ iqvae: z.string(), libtorch: z.string(), node: z.string() }),
  /** How many processes trained it together, where there were several. */
  processes: z.int().min(2).optional(),
  /** What it was trained on. Older checkpoints do not say. */
  machine: z.string().optional(),
});

/** What a checkpoint says of itself, all but the tensors. */
export type Checkpoint = z.infer<typeof checkpointSchema>;

/** What the loop knows; the rest of a {@link Checkpoint} follows from it and from the moment. */
export type CheckpointContent = Pick<
  Checkpoint,
  "stage" | "step" | "basis" | "loader" | "means" | "trainer" | "evaluation" | "processes"
>;

/** A checkpoint that cannot be used, and what to do about it. */
export class CheckpointError extends Error {
  override readonly name = "CheckpointError";
}

/** The file that describes the checkpoint of a step; the tensors lie beside it. */
export function checkpointPath(folder: string, stage: Stage, step: number): string {
  return join(folder, `${stage}-${String(step).padStart(8, "0")}.json`);
}

/**
 * Writes a checkpoint, including the state of the default random generators, and drops those that are no longer needed:
 * the last two of each stage stay, the one with the lowest held-out loss, and those of the steps to keep.
 *
 * The description is written last and names the tensors by length and hash, so a kill at any moment leaves either the
 * whole new checkpoint or the ones before.
 *
 * @throws Error when it cannot be written; the ones before stay as they are
 */
export function saveCheckpoint(
  folder: string,
  content: CheckpointContent,
  tensors: ReadonlyMap<string, Tensor>,
  keepAt: readonly number[] = [],
): string {
  const path = checkpointPath(folder, content.stage, content.step);
  const tensorPath = path.replace(/json$/, "safetensors");
  writeSafetensors(tensorPath, tensors, { stage: content.stage, step: String(content.step) });
  const checkpoint: Checkpoint = {
    format: CHECKPOINT_FORMAT,
    ...content,
    random: randomStates(),
    tensors: { file: basename(tensorPath), bytes: statSync(tensorPath).size, sha256: hashFile(tensorPath) },
    versions: { iqvae: VERSION, libtorch: torchVersion(), node: process.versions.node },
    machine: machine(),
  };
  replaceFile(path, `${JSON.stringify(checkpoint, null, 1)}\n`);
  prune(folder, content.stage, keepAt);
  return path;
}

/** The processor, with the default device where that is another. */
function machine(): string {
  const device = getDefaultDevice();
  return device === "cpu" ? processor().name : `${gpuName(device)} beside ${processor().name}`;
}

/** The descriptions of a stage's checkpoints, the newest first. */
export function listCheckpoints(folder: string, stage: Stage): { path: string; step: number }[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .flatMap((name) => {
      const [, of, step] = /^(stage\d)-(\d{8})\.json$/.exec(name) ?? [];
      return of === stage ? [{ path: join(folder, name), step: Number(step) }] : [];
    })
    .sort((a, b) => b.step - a.step);
}

/** The checkpoint of a stage with the lowest held-out loss, or the newest when none was evaluated; its description. */
export function bestCheckpoint(folder: string, stage: Stage): string | undefined {
  return lowest(
    listCheckpoints(folder, stage).map(({ path }) => ({ path, loss: heldOutLoss(describeCheckpoint(path)) })),
  );
}

/** The lowest held-out loss of a stage's checkpoints that can be read; infinity where none was evaluated. */
export function lowestLoss(folder: string, stage: Stage): number {
  return Math.min(...listCheckpoints(folder, stage).flatMap(({ path }) => readable(path).map(({ loss }) => loss)));
}

function lowest(all: readonly { readonly path: string; readonly loss: number }[]): string | undefined {
  return all.reduce<(typeof all)[number] | undefined>((a, b) => (a && a.loss <= b.loss ? a : b), undefined)?.path;
}

/**
 * Reads the description of a checkpoint and checks that its tensors are the ones that were written.
 *
 * @throws CheckpointError when it is damaged, is of a newer format, or does not belong to its tensors
 */
export function readCheckpoint(path: string): Checkpoint {
  const checkpoint = describeCheckpoint(path);
  const tensors = tensorFile(path, checkpoint);
  const { bytes, sha256 } = checkpoint.tensors;
  if (!existsSync(tensors)) throw unusable(path, `its tensors, ${checkpoint.tensors.file}, are missing`);
  const found = reading(tensors, () => statSync(tensors).size);
  if (found !== bytes) throw unusable(path, `${checkpoint.tensors.file} has ${found} bytes instead of ${bytes}`);
  if (reading(tensors, () => hashFile(tensors)) !== sha256)
    throw unusable(path, `${checkpoint.tensors.file} is not the file that was written`);
  return checkpoint;
}

/**
 * The tensors of a checkpoint that {@link readCheckpoint} has checked. They belong to the caller.
 *
 * @param prefix only those whose names begin so
 */
export function readCheckpointTensors(path: string, checkpoint: Checkpoint, prefix = ""): Map<string, Tensor> {
  const file = tensorFile(path, checkpoint);
  const names = [...readSafetensorsHeader(file).tensors.keys()].filter((name) => name.startsWith(prefix));
  return readSafetensors(file, { names }).tensors;
}

/**
 * Reads the description of a checkpoint, without looking at its tensors.
 *
 * @throws CheckpointError when it is damaged, or of a newer format
 */
export function describeCheckpoint(path: string): Checkpoint {
  const text = reading(path, () => new TextDecoder().decode(readFileSync(path)));
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw unusable(path, "it is not valid JSON");
  }
  const format = (document as { format?: unknown } | null)?.format;
  if (typeof format !== "number") throw unusable(path, "it names no format");
  if (format > CHECKPOINT_FORMAT) {
    throw new CheckpointError(
      `${path} is of format ${format}, and this version of iqvae (${VERSION}) reads up to format ${CHECKPOINT_FORMAT}. ` +
        `It was written by a newer version: update iqvae.`,
    );
  }
  const parsed = checkpointSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw unusable(path, `${issue?.path.join(".")}: ${issue?.message}`);
}

function unusable(path: string, why: string): CheckpointError {
  return new CheckpointError(
    `The checkpoint ${path} cannot be used: ${why}. It was changed or damaged after it was written. ` +
      `Delete this .json file to go on from the checkpoint before it.`,
  );
}

/** A file that cannot be read now may be whole: nobody is told to delete it for want of file handles, or of permissions. */
function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new CheckpointError(
      `${path} of a checkpoint cannot be read: ${reasonOf(error)}. Mend that; if it is lost, delete the .json file of the ` +
        `checkpoint to go on from the one before it.`,
      { cause: error },
    );
  }
}

const tensorFile = (path: string, { tensors }: Checkpoint) => join(dirname(path), tensors.file);

function hashFile(path: string): string {
  const hash = createHash("sha256");
  const block = Buffer.alloc(1 << 20);
  const file = openSync(path, "r");
  try {
    for (let read = 1; read > 0; ) {
      read = readSync(file, block);
      hash.update(block.subarray(0, read));
    }
  } finally {
    closeSync(file);
  }
  return hash.digest("hex");
}

/** The held-out loss of the very weights in a checkpoint; infinity when they were not evaluated. */
function heldOutLoss({ evaluation, step }: Checkpoint): number {
  return (evaluation?.step === step ? evaluation.figures.loss : undefined) ?? Number.POSITIVE_INFINITY;
}

const KEPT = 2;

/** A damaged description is left to its owner: it must not end a training whose newest checkpoint is whole. */
function readable(path: string): { path: string; loss: number }[] {
  try {
    return [{ path, loss: heldOutLoss(describeCheckpoint(path)) }];
  } catch (error) {
    if (error instanceof CheckpointError) return [];
    throw error;
  }
}

function prune(folder: string, stage: Stage, keepAt: readonly number[]): void {
  const best = lowest(listCheckpoints(folder, stage).flatMap(({ path }) => readable(path)));
  const old = listCheckpoints(folder, stage)
    .slice(KEPT)
    .filter(({ step }) => !keepAt.includes(step))
    .filter(({ path }) => readable(path).length > 0);
  // The description first: without it the tensors are not a checkpoint, while it must never stand alone.
  for (const { path } of old) if (path !== best) rmSync(path, { force: true });
  const described = new Set(readdirSync(folder).filter((name) => name.endsWith(".json")));
  for (const name of readdirSync(folder)) {
    const orphan = name.endsWith(".safetensors") && !described.has(name.replace(/safetensors$/, "json"));
    if (orphan || name.endsWith(ASIDE)) rmSync(join(folder, name), { force: true });
  }
}
