import { isDeepStrictEqual } from "node:util";
import type { Config } from "../config/index.ts";
import { conditionSpec } from "../data/index.ts";
import type { IqVae } from "../models/iqvae.ts";
import type { Transformer } from "../models/transformer.ts";
import type { Peers } from "../support/peers.ts";
import type { Progress } from "../support/progress.ts";
import type { Stage } from "../support/trainer.ts";
import { flat } from "./basis.ts";
import { bestCheckpoint, CheckpointError, listCheckpoints } from "./checkpoint.ts";
import type { RunFolder } from "./run-folder.ts";

/** Both models that a training begins with. */
export interface PretrainedModels {
  readonly iqvae: IqVae;
  readonly transformer: Transformer;
  /** See {@link Pretrained} of the models. */
  readonly sameCondition: boolean;
}

/** What the weights of images depend on; all of it must be as it was. */
function imageSizes({ stage1, stage2 }: Config): Record<string, unknown> {
  const { dropout, ...transformer } = stage2.model;
  return flat({ stage1: { model: { image: stage1.model.image } }, stage2: { model: transformer } });
}

/**
 * @param source the run that is named
 * @throws RangeError naming all values that differ, where the weights of one cannot be those of the other; CheckpointError where the other has
 *   not come to stage 2
 */
export function expectPretrained(source: RunFolder, config: Config): void {
  const { path } = source;
  if (bestCheckpoint(source.checkpoints, "stage2") === undefined)
    throw new CheckpointError(
      `${path} has no checkpoint of stage 2 yet, so there is nothing to begin with. Train on: npx iqvae resume ${path}`,
    );
  const [was, is] = [imageSizes(source.config), imageSizes(config)];
  const differing = Object.keys(is).filter((name) => !isDeepStrictEqual(was[name], is[name]));
  if (differing.length === 0) return;
  const [list, settings] = [
    differing.map((name) => `  ${name} is ${JSON.stringify(is[name])}, and ${JSON.stringify(was[name])} there`),
    differing.map((name) => `--set '${name}=${JSON.stringify(was[name])}'`),
  ];
  throw new RangeError(
    `A training cannot begin with the weights of ${path}, whose models are of other sizes:\n${list.join("\n")}\n` +
      `Take its sizes: ${settings.join(" ")}`,
  );
}

/** Whether what one has learned about conditions is of use to the other. */
export function sameCondition(one: Config, other: Config): boolean {
  const form = ({ data, stage1 }: Config) => [conditionSpec(data), stage1.model.condition];
  return isDeepStrictEqual(form(one), form(other));
}

/**
 * Makes the trainer of a stage, with the models that its configuration has it begin with, if any. A stage that has a checkpoint goes on
 * from that, and of several processes the first reads for all.
 *
 * @param open opens the run that is named
 * @throws as {@link expectPretrained}; CheckpointError where the other run is damaged
 */
export function withPretrained<T>(
  { config, checkpoints }: RunFolder,
  stage: Stage,
  { peers, progress }: { peers?: Peers | undefined; progress: Progress },
  open: (path: string) => RunFolder,
  make: (models: PretrainedModels | undefined) => T,
): T {
  const { pretrained } = config;
  const isFirst = peers?.isFirst ?? true;
  if (pretrained === null || !isFirst || listCheckpoints(checkpoints, stage).length > 0) return make(undefined);
  const source = open(pretrained.path);
  expectPretrained(source, config);
  const models = source.loadModels();
  const same = sameCondition(source.config, config);
  const half = same ? "" : "; what it knows of conditions does not fit, and is learned anew";
  progress.tell(`${stage} begins with the weights of ${source.path}${half}.`, {
    event: "pretrained",
    stage,
    path: source.path,
    sameCondition: same,
  });
  try {
    return make({ ...models, sameCondition: same });
  } finally {
    for (const model of [models.iqvae, models.transformer])
      for (const tensor of model.stateDict().values()) tensor.dispose();
  }
}
