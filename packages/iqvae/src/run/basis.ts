import type { Config } from "../config/index.ts";
import type { Stage } from "../support/trainer.ts";
import { CheckpointError, describeCheckpoint, listCheckpoints } from "./checkpoint.ts";

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** What the weights of a stage follow from, by name: values of the configuration, as `stage1.model.image.codes`, and others. */
export type Basis = Readonly<Record<string, Json>>;

/**
 * The values of a configuration that the weights of a stage depend on. Not where files lie, which may be moved, nor how often
 * to look. What stage 2 has of stage 1 are its tokens: see {@link TOKENS}.
 */
export function basisOf({ seed, precision, data, pretrained, stage1, stage2 }: Config, stage: Stage): Basis {
  const begun = { seed, precision, data, pretrained: pretrained !== null };
  const all = flat({ ...begun, ...(stage === "stage1" ? { stage1 } : { stage2 }) });
  return Object.fromEntries(Object.entries(all).filter(([name]) => !name.endsWith(".path")));
}

/** Where a basis has what stage 2 was trained on: the hash of the weights of stage 1. */
export const TOKENS = "stage 1";

/** Pairs of the data set; with another number of them the order of rows is another. */
export const PAIRS = "pairs for training";

/** The digest of the data's key: files that were exchanged, or drawn by another version. Told of, and not refused. */
export const DATA = "data";

/**
 * Compares what the weights of a checkpoint followed from with what they are to follow from now. Steps may be added.
 *
 * @param path of the checkpoint, for the message
 * @param was that of the checkpoint; older ones have none
 * @param is values that the checkpoint does not have are newer than it, and not compared
 * @param concerned only these names
 * @throws CheckpointError naming every value that differs, and both of its values
 */
export function expectBasis(
  path: string,
  was: Basis | undefined,
  is: Basis,
  concerned: (name: string) => boolean = () => true,
): void {
  if (was === undefined) return;
  const differing = Object.keys(was).filter((name) => {
    if (/^stage[12]\.steps$/.test(name) || name === DATA || !concerned(name)) return false;
    // What is not of the configuration is known only once the data are open.
    if (!(name in is)) return name !== TOKENS && name !== PAIRS;
    return JSON.stringify(was[name]) !== JSON.stringify(is[name]);
  });
  if (differing.length === 0) return;
  if (differing.includes(TOKENS)) {
    throw new CheckpointError(
      `${path} was trained on the tokens of another stage 1 than that of this run: what the two make together means nothing. ` +
        `To train stage 2 anew, delete the files stage2-* beside it, then: npx iqvae resume.`,
    );
  }
  const list = differing.map((name) => {
    const now = name in is ? JSON.stringify(is[name]) : "left out";
    return `  ${name} is ${now} now, and was ${JSON.stringify(was[name])}`;
  });
  const back = differing.every((name) => name === PAIRS) ? "Put the data's files back" : "Set them back in config.json";
  throw new CheckpointError(
    `${path} was trained with other values than the run has now:\n${list.join("\n")}\n` +
      `${back}, or train a new run with them: npx iqvae train.`,
  );
}

/**
 * Compares the configuration of a run with its checkpoints, before anything is trained.
 *
 * @throws CheckpointError when weights that are there follow from other values, or would be lost to stage 2
 */
export function expectSameConfig({
  path,
  config,
  checkpoints,
}: {
  readonly path: string;
  readonly config: Config;
  readonly checkpoints: string;
}): void {
  const newest = {
    stage1: listCheckpoints(checkpoints, "stage1")[0],
    stage2: listCheckpoints(checkpoints, "stage2")[0],
  };
  for (const stage of ["stage1", "stage2"] as const) {
    const checkpoint = newest[stage];
    if (checkpoint !== undefined)
      expectBasis(checkpoint.path, describeCheckpoint(checkpoint.path).basis, basisOf(config, stage));
  }
  const { stage1, stage2 } = newest;
  if (stage2 === undefined || (stage1?.step ?? 0) >= config.stage1.steps) return;
  // Where the newest checkpoint of stage 1 was damaged, the one before it leads to the same tokens.
  const planned = stage1 && describeCheckpoint(stage1.path).basis?.["stage1.steps"];
  if (planned === config.stage1.steps) return;
  throw new CheckpointError(
    `${path} has trained stage 2 on the tokens of stage 1 at step ${stage1?.step ?? 0}, but config.json asks for ` +
      `${config.stage1.steps} steps of stage 1: its tokens would become others. Set stage1.steps back to ${stage1?.step ?? 0}; or, to ` +
      `train stage 1 on and stage 2 anew, delete ${checkpoints}/stage2-*, then: npx iqvae resume ${path}`,
  );
}

/** All values within an object by their paths, such as `stage1.model.image.codes`; lists stay whole. */
export function flat(value: object, prefix = ""): Basis {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]): [string, Json][] =>
      typeof inner === "object" && inner !== null && !Array.isArray(inner)
        ? Object.entries(flat(inner, `${prefix}${key}.`))
        : [[prefix + key, inner as Json]],
    ),
  );
}
