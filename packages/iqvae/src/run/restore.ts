import { scope } from "@iqvae/torch";
import { conditionFor } from "../conditions/index.ts";
import type { Config } from "../config/index.ts";
import { conditionSpec } from "../data/index.ts";
import { IqVae } from "../models/iqvae.ts";
import { Transformer } from "../models/transformer.ts";
import { transformerConfig } from "../stage2/config.ts";
import { below } from "../support/tensor-names.ts";
import { basisOf, expectBasis, TOKENS } from "./basis.ts";
import {
  bestCheckpoint,
  CheckpointError,
  listCheckpoints,
  readCheckpoint,
  readCheckpointTensors,
} from "./checkpoint.ts";

/** Both models of a run. */
export interface Models {
  readonly iqvae: IqVae;
  readonly transformer: Transformer;
}

/**
 * Loads both models of a run: the last weights of stage 1, and of stage 2 the averaged ones with the lowest held-out loss, or those
 * after a step.
 *
 * @param step one that a checkpoint was kept of (`keepAt`)
 * @throws CheckpointError when the run has not come to stage 2 yet, has no checkpoint of the step, or when a checkpoint is damaged
 */
export function restoreModels(
  run: { readonly path: string; readonly checkpoints: string; readonly config: Config },
  step?: number,
): Models {
  const { config, checkpoints } = run;
  const stage1 = listCheckpoints(checkpoints, "stage1")[0]?.path;
  const stage2 = step === undefined ? bestCheckpoint(checkpoints, "stage2") : checkpointOf(run, step);
  if (stage1 === undefined || stage2 === undefined) {
    throw new CheckpointError(
      `${run.path} has no checkpoint of stage 2 yet, so there is nothing to draw images with. ` +
        `Train on: npx iqvae resume ${run.path}`,
    );
  }
  const [first, second] = [readCheckpoint(stage1), readCheckpoint(stage2)];
  expectBasis(stage1, first.basis, basisOf(config, "stage1"), shapesModel);
  const basis = { ...basisOf(config, "stage2"), [TOKENS]: first.tensors.sha256 };
  expectBasis(stage2, second.basis, basis, shapesModel);
  return scope(() => {
    const iqvae = new IqVae(config.stage1.model, conditionFor(conditionSpec(config.data), config.data.size));
    iqvae.loadStateDict(below("model.", readCheckpointTensors(stage1, first, "model.")));
    const transformer = new Transformer(transformerConfig(config.stage2), iqvae.tokenShape(config.data.size));
    // The averaged weights are those that were evaluated.
    transformer.loadStateDict(below("ema.", readCheckpointTensors(stage2, second, "ema.")));
    return { iqvae, transformer };
  });
}

function checkpointOf({ path, checkpoints }: { readonly path: string; readonly checkpoints: string }, step: number) {
  const all = listCheckpoints(checkpoints, "stage2");
  const found = all.find((one) => one.step === step);
  if (found !== undefined) return found.path;
  throw new CheckpointError(
    `${path} has no checkpoint of stage 2 at step ${step}, only at ${all.map((one) => one.step).join(", ") || "none"}. ` +
      "Steps to keep are named before the training, by keepAt in config.json.",
  );
}

/** Values that decide what the weights mean, not how they were found. */
function shapesModel(name: string): boolean {
  return name === TOKENS || /^data\.|^stage[12]\.model\.|^stage2\.conditionDropout$/.test(name);
}
