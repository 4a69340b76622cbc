import { inferenceMode, scope, type Tensor, tensor } from "@iqvae/torch";
import { conditionFor, conditionLength } from "./conditions/index.ts";
import { type Config, conditionSpec } from "./config/index.ts";
import type { ConditionSpec } from "./data/index.ts";
import type { IqVae } from "./models/iqvae.ts";
import type { Transformer } from "./models/transformer.ts";
import type { SampleOptions } from "./sampling/plan.ts";
import { cachedSampler } from "./sampling/sampler.ts";
import {
  bestCheckpoint,
  CheckpointError,
  listCheckpoints,
  readCheckpoint,
  readCheckpointTensors,
} from "./training/checkpoint.ts";
import { inPrecision } from "./training/precision.ts";
import type { RunFolder } from "./training/run-folder.ts";
import { restoreModels } from "./training/stages.ts";

/** Draws images for conditions with a trained run. */
export class ImageGenerator {
  readonly config: Config;
  readonly spec: ConditionSpec;
  readonly #iqvae: IqVae;
  readonly #transformer: Transformer;

  constructor(config: Config, spec: ConditionSpec, models: { iqvae: IqVae; transformer: Transformer }) {
    this.config = config;
    this.spec = spec;
    this.#iqvae = models.iqvae;
    this.#transformer = models.transformer;
  }

  /**
   * Loads a run: the last weights of stage 1, and of stage 2 those with the lowest held-out loss.
   *
   * @throws Error when the run has not come to stage 2 yet; CheckpointError when a checkpoint is damaged
   */
  static load(run: RunFolder): ImageGenerator {
    const paths = {
      stage1: listCheckpoints(run.checkpoints, "stage1")[0]?.path,
      stage2: bestCheckpoint(run.checkpoints, "stage2"),
    };
    const { stage1, stage2 } = paths;
    if (stage1 === undefined || stage2 === undefined) {
      throw new CheckpointError(
        `${run.path} has no checkpoint of stage 2 yet, so there is nothing to draw images with. ` +
          `Train on: npx iqvae resume ${run.path}`,
      );
    }
    const spec = conditionSpec(run.config.data);
    return scope(() => {
      const weights = {
        stage1: readCheckpointTensors(stage1, readCheckpoint(stage1), "model."),
        stage2: readCheckpointTensors(stage2, readCheckpoint(stage2), "ema."),
      };
      return new ImageGenerator(run.config, spec, restoreModels(run.config, spec, weights));
    });
  }

  /**
   * Draws images.
   *
   * @param conditions bytes of conditions, as in a batch of the data set
   * @throws RangeError for bytes that mean nothing
   * @returns for each condition `options.samples` images, RGB bytes `[size, size, 3]`
   */
  draw(conditions: readonly Uint8Array[], options: SampleOptions = {}): Uint8Array[][] {
    return this.#run(() => {
      const tokens = this.#iqvae.encodeCondition(this.#rasters(conditions)).flatten(1);
      const drawn = cachedSampler(this.#transformer, { precision: this.config.precision }).sample(tokens, options); // [N, samples, imageTokens]
      const { size } = this.config.data;
      const grid = this.#iqvae.image.gridFor([size, size]);
      return conditions.map((_, i) => this.#split(this.#iqvae.decodeImage(drawn.select(0, i).reshape([-1, ...grid]))));
    });
  }

  #rasters(conditions: readonly Uint8Array[]): Tensor {
    const { check, shape } = conditionFor(this.spec, this.config.data.size);
    const length = conditionLength(this.spec, this.config.data.size);
    const all = new Uint8Array(conditions.length * length);
    conditions.forEach((condition, i) => {
      check(condition);
      all.set(condition, i * length);
    });
    return tensor(all, { shape: [conditions.length, ...shape] });
  }

  #split(pixels: Tensor): Uint8Array[] {
    const bytes = pixels.read("uint8");
    const length = this.config.data.size ** 2 * 3;
    return Array.from({ length: bytes.length / length }, (_, i) => bytes.subarray(i * length, (i + 1) * length));
  }

  #run<T>(body: () => T): T {
    return scope(() => inferenceMode(() => inPrecision(this.config, body)));
  }
}
