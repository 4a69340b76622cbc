import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type FileEntry, MODEL_FILE, WEIGHTS_FILE, type WeightType } from "@iqvae/runtime";
import { ASIDE, explainWriting, replaceFile, scope, type Tensor, writeSafetensors } from "@iqvae/torch";
import { type PairDataset, spreadRows } from "../data/index.ts";
import { type RunScore, readScore } from "../metrics/index.ts";
import { bestCheckpoint, describeCheckpoint, listCheckpoints } from "../run/checkpoint.ts";
import { readMetrics } from "../run/metrics-log.ts";
import { nameOf, type RunFolder } from "../run/run-folder.ts";
import { statusOf } from "../run/status.ts";
import { trainedSeconds } from "../run/tensorboard/duration.ts";
import { openData } from "../run/train-run.ts";
import { weightsDigest } from "../run/weights.ts";
import { makeFolder, removeAbandoned } from "../support/files.ts";
import { type Progress, silent } from "../support/progress.ts";
import { type CardFacts, card, withScore } from "./card.ts";
import { type Description, describeModel } from "./describe.ts";
import { SCALE } from "./graph.ts";
import { GRAPHS } from "./graphs.ts";
import { type RoundingCost, roundingCost } from "./nats.ts";
import { neededWeights, restoredWeights, storedTensors, storedWeights } from "./weights.ts";

/** A run that cannot be exported, or not to where it was asked for: why, and what to do. */
export class ExportError extends Error {
  override readonly name = "ExportError";
}

/** What became of a run. */
export interface Exported {
  readonly folder: string;
  /** All files but `model.json`, which names them. */
  readonly files: Readonly<Record<string, FileEntry>>;
  readonly rounding: RoundingCost | undefined;
}

/** Held-out conditions that come with a model. */
const EXAMPLES = 8;
const CARD = "README.md";
const SAMPLES = "samples.png";

/**
 * Writes a trained run as a folder that draws without libtorch: `model.json`, `model.safetensors`, four ONNX graphs, `README.md` and
 * `samples.png` (docs/export.md). The folder is written aside and renamed, so that it is whole or not there.
 *
 * @param folder must not exist
 * @param progress of opening the data, for the examples that come with the model
 * @param name what the model is called; as the run's folder is, unless it is said
 * @throws ExportError for a run that has not been trained to its end, and for a folder that is there; CheckpointError for one that is
 *   damaged; RangeError for weights that float16 does not have; all of them before anything is written. WriteError when the folder cannot be
 *   written; nothing is left then
 */
export async function exportRun(
  run: RunFolder,
  folder: string,
  type: WeightType,
  progress: Progress = silent,
  name = nameOf(run),
): Promise<Exported> {
  expectTrained(run);
  // Before the folder is looked for: one that was killed is followed by one that succeeds, before it can be told dead.
  await removeAbandoned(resolve(folder));
  expectFree(folder);
  const description = { ...describeModel(run.config, type), name };
  const { examples, concepts } = await shownOf(run, progress);
  // All that is read is read before anything is written, so that no error takes the one for the other.
  const [facts, picture] = [factsOf(run, progress), newestSamples(run)];
  const { stored, rounding } = weightsOf(run, description);
  try {
    return writeAside(folder, (aside) => {
      const write = (name: string, content: string | Uint8Array) => replaceFile(join(aside, name), content);
      writeSafetensors(join(aside, WEIGHTS_FILE), stored, { format: "pt" });
      const places = storedTensors(join(aside, WEIGHTS_FILE), WEIGHTS_FILE);
      for (const [name, make] of Object.entries(GRAPHS)) write(name, make(description, places).encode());
      if (picture !== undefined) write(SAMPLES, picture);
      const parameters = parameterCount(stored);
      write(CARD, card({ ...facts, description, concepts, rounding, parameters, files: filesIn(aside) }));
      const files = filesIn(aside);
      write(MODEL_FILE, `${JSON.stringify({ ...description, examples, files }, null, 1)}\n`);
      return { folder, files, rounding };
    });
  } finally {
    for (const tensor of stored.values()) tensor.dispose();
  }
}

/** Writes into the card of an exported model what `iqvae metrics` measured. A folder without a card stays as it is. */
export function recordScore(folder: string, score: RunScore): void {
  const [path, described] = [join(folder, CARD), join(folder, MODEL_FILE)];
  if (!existsSync(path)) return;
  replaceFile(path, withScore(readFileSync(path, "utf8"), score));
  const { files, ...model } = JSON.parse(readFileSync(described, "utf8")) as { files: Record<string, FileEntry> };
  const written = { ...files, [CARD]: filesIn(folder)[CARD] };
  replaceFile(described, `${JSON.stringify({ ...model, files: written }, null, 1)}\n`);
}

/** Held-out conditions in Base64, and what the pairs show; nothing where the data are no longer there. */
async function shownOf(
  { config }: RunFolder,
  progress: Progress,
): Promise<{ examples?: string[]; concepts: readonly string[] }> {
  let dataset: PairDataset;
  try {
    dataset = await openData(config.data, progress);
  } catch (error) {
    const reason = (error as Error).message;
    progress.tell(`The model comes without examples: ${reason}`, { event: "without examples", reason });
    return { concepts: [] };
  }
  try {
    const rows = spreadRows(dataset.validation, EXAMPLES);
    const { conditions } = dataset.validation.batch(rows);
    const length = conditions.length / rows.length;
    const examples = rows.map((_, i) =>
      Buffer.from(conditions.subarray(i * length, (i + 1) * length)).toString("base64"),
    );
    return { examples, concepts: conceptsOf(dataset) };
  } finally {
    dataset.close();
  }
}

/** What the pairs of training show, by name, where that is known. */
export function conceptsOf({ facts, train }: Pick<PairDataset, "facts" | "train">): readonly string[] {
  const { concept } = facts ?? {};
  return concept === undefined ? [] : [...new Set(train.ids.map(concept))].sort();
}

function expectTrained(run: RunFolder): void {
  const { stage, step, steps, finished } = statusOf(run);
  if (finished) return;
  const asItIs =
    stage === "stage2" && step > 0 ? ` To export it as it is, set stage2.steps to ${step} in its config.json.` : "";
  throw new ExportError(
    `${run.path} is not trained to its end: it has done ${step} of ${steps} steps of ${stage}. ` +
      `Train on: npx iqvae resume ${run.path}.${asItIs}`,
  );
}

function expectFree(folder: string): void {
  if (!existsSync(folder)) return;
  throw new ExportError(`${folder} is there already, and is not overwritten. Name another by --out, or delete it.`);
}

/** Both models' weights as they are to be stored, and what that costs. They belong to the caller. */
function weightsOf(
  run: RunFolder,
  description: Description,
): { stored: Map<string, Tensor>; rounding: RoundingCost | undefined } {
  return scope(() => {
    const models = run.loadModels();
    try {
      const stored = storedWeights(neededWeights(models, description), description.weights);
      // Copies: what is not rounded shares its memory with the models.
      const kept = new Map([...stored].map(([name, tensor]) => [name, tensor.clone()]));
      return { stored: kept, rounding: roundingCost(models.transformer, run.tokens, restoredWeights(stored)) };
    } finally {
      for (const model of [models.iqvae, models.transformer])
        for (const tensor of model.stateDict().values()) tensor.dispose();
    }
  });
}

function parameterCount(stored: ReadonlyMap<string, Tensor>): number {
  return [...stored].reduce((sum, [name, each]) => (name.endsWith(SCALE) ? sum : sum + each.numel()), 0);
}

/** Fills a folder beside the one that is wanted, and renames it when it is whole. */
function writeAside<T>(folder: string, fill: (aside: string) => T): T {
  const target = resolve(folder);
  const aside = `${target}.${randomBytes(4).toString("hex")}${ASIDE}`;
  makeFolder(dirname(target));
  makeFolder(aside);
  try {
    const result = fill(aside);
    renameSync(aside, target);
    return result;
  } catch (error) {
    throw explainWriting(error, folder);
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/** What the files of a run say of it. */
function factsOf(
  run: RunFolder,
  progress: Progress,
): Pick<CardFacts, "config" | "checkpoints" | "seconds" | "records" | "score"> {
  const [stage1, stage2] = [
    listCheckpoints(run.checkpoints, "stage1")[0]!.path,
    bestCheckpoint(run.checkpoints, "stage2")!,
  ];
  return {
    config: run.config,
    checkpoints: { stage1: describeCheckpoint(stage1), stage2: describeCheckpoint(stage2) },
    seconds: { stage1: trainedSeconds(run.tensorboard, "stage1"), stage2: trainedSeconds(run.tensorboard, "stage2") },
    records: readMetrics(run.log.path),
    score: readScore(run.path, weightsDigest(run), (message) =>
      progress.tell(`${message} The card has no figures of samples: npx iqvae metrics ${run.path} measures them.`, {
        event: "warning",
        message,
      }),
    ),
  };
}

/** The last picture of samples that the training drew, of those that are still there. */
function newestSamples({ samples }: RunFolder): Buffer | undefined {
  const names = existsSync(samples) ? readdirSync(samples) : [];
  const newest = names
    .filter((name) => /^stage2-\d+\.png$/.test(name))
    .sort()
    .map((name) => join(samples, name))
    .filter((path) => existsSync(path) && statSync(path).isFile())
    .at(-1);
  return newest === undefined ? undefined : readFileSync(newest);
}

function filesIn(folder: string): Record<string, FileEntry> {
  return Object.fromEntries(
    readdirSync(folder)
      .sort()
      .map((name) => {
        const content = readFileSync(join(folder, name));
        return [name, { bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") }];
      }),
  );
}
