import type { Tensor } from "@iqvae/torch";
import { conditionFor } from "../conditions/index.ts";
import type { Config } from "../config/index.ts";
import type { ConditionSpec, PairDataset } from "../data/index.ts";
import type { FeatureNetwork } from "../features/network.ts";
import { reduction } from "../models/autoencoder.ts";
import { IqVae } from "../models/iqvae.ts";
import { type TokenShape, Transformer, type TransformerConfig } from "../models/transformer.ts";
import { createRegularizer } from "../regularizer/index.ts";
import { perceptualLoss } from "../stage1/perceptual.ts";
import { Stage1Trainer } from "../stage1/trainer.ts";
import type { TokenPairs } from "../stage2/token-pairs.ts";
import { Stage2Trainer } from "../stage2/trainer.ts";
import { below } from "../support/tensor-names.ts";

/** The largest norm of all gradients of stage 2 together. */
const CLIP_NORM = 1;
/** Where stage 2's cosine ends, as a share of its peak. */
const LAST_RATE = 1 / 20;

/**
 * The trainer of stage 1, weights drawn from the default random generator.
 *
 * @param network what the perceptual term looks with, if the configuration has one; see {@link openPerceptualNetwork}
 */
export function createStage1Trainer(
  { stage1, precision }: Config,
  dataset: PairDataset,
  network: FeatureNetwork | null = null,
): Stage1Trainer {
  const { regularizer, perceptual, adversarial, model, steps, rate, warmup } = stage1;
  return new Stage1Trainer(
    {
      model,
      steps,
      rate,
      warmup,
      precision,
      adversarial,
      perceptual: perceptual && { weight: perceptual.weight, distance: perceptualLoss(network) },
      regularizer:
        regularizer.estimator === "none"
          ? null
          : { weight: regularizer.weight, measure: createRegularizer(regularizer) },
    },
    dataset,
    conditionFor(dataset.condition, dataset.size),
  );
}

/** The trainer of stage 2, weights drawn from the default random generator. */
export function createStage2Trainer(
  { stage2, precision }: Config,
  tokens: { train: TokenPairs; validation: TokenPairs },
): Stage2Trainer {
  const { exposure, steps, batch, rate, warmup, weightDecay, emaDecay, conditionDropout } = stage2;
  return new Stage2Trainer({
    model: new Transformer(transformerConfig(stage2), tokens.train.shape),
    ...tokens,
    config: {
      steps,
      microBatch: batch,
      learningRate: rate,
      finalLearningRate: rate * LAST_RATE,
      warmupSteps: warmup,
      weightDecay,
      clipNorm: CLIP_NORM,
      emaDecay,
      precision,
      exposure,
      conditionDropout,
    },
  });
}

/** A transformer that learns some sequences without their condition has a token that says so. */
export function transformerConfig({ model, conditionDropout }: Config["stage2"]): TransformerConfig {
  return conditionDropout > 0 ? { ...model, unconditional: true } : model;
}

/** Tokens of an image, by the configuration alone. */
export function imageTokens({ data, stage1 }: Config): number {
  return (data.size / reduction(stage1.model.image)) ** 2;
}

/** The numbers of codes and tokens that stage 1 of a configuration makes. */
export function tokenShape(config: Config, model: IqVae): TokenShape {
  const tokens = ([h, w]: readonly [number, number]) => h * w;
  return {
    conditionCodes: model.conditionCodes,
    imageCodes: model.imageCodes,
    conditionTokens: tokens(model.conditionGrid),
    imageTokens: tokens(model.image.gridFor([config.data.size, config.data.size])),
  };
}

/** Both models of a configuration without a trainer, with the weights of checkpoints. */
export function restoreModels(
  config: Config,
  spec: ConditionSpec,
  weights: { stage1: ReadonlyMap<string, Tensor>; stage2: ReadonlyMap<string, Tensor> },
): { iqvae: IqVae; transformer: Transformer } {
  const iqvae = new IqVae(config.stage1.model, conditionFor(spec, config.data.size));
  iqvae.loadStateDict(below("model.", weights.stage1));
  const transformer = new Transformer(transformerConfig(config.stage2), tokenShape(config, iqvae));
  // The averaged weights are those that were evaluated.
  transformer.loadStateDict(below("ema.", weights.stage2));
  return { iqvae, transformer };
}
