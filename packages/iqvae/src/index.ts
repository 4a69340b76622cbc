/**
 * Data sets, training, sampling with libtorch, and measuring.
 *
 * @module iqvae
 */

export type { Noise, SampleOptions } from "@iqvae/runtime";
export { type Condition, conditionFor } from "./conditions/index.ts";
export {
  type Config,
  ConfigError,
  type ConfigInput,
  loadConfig,
  PRESET_NAMES,
  parseConfig,
  presets,
} from "./config/index.ts";
export * from "./data/index.ts";
export * from "./media/index.ts";
export * from "./metrics/index.ts";
export { type AutoencoderConfig, type Axes, Decoder, Encoder, type Sides } from "./models/autoencoder.ts";
export {
  IqVae,
  type IqVaeConfig,
  type IqVaeMode,
  type Reconstructed,
  VqAutoencoder,
  type VqConfig,
} from "./models/iqvae.ts";
export {
  type Quantized,
  Quantizer,
  type QuantizerConfig,
  type QuantizerMode,
  type QuantizerPeers,
} from "./models/quantizer.ts";
export { type TokenShape, Transformer, type TransformerConfig } from "./models/transformer.ts";
export { type StepCost, stage1Cost, stage2Cost } from "./plan/cost.ts";
export { H100, type Plan, plan, type StagePlan } from "./plan/plan.ts";
export * from "./regularizer/index.ts";
export { compareReport } from "./report/compare.ts";
export { report } from "./report/report.ts";
export { CheckpointError } from "./run/checkpoint.ts";
export { type ExportedModel, openExported } from "./run/exported.ts";
export { DivergedError } from "./run/loop.ts";
export { createRun, openRun, type RunFolder } from "./run/run-folder.ts";
export { trainRun } from "./run/train-run.ts";
export { type GeneratorOptions, ImageGenerator } from "./sampling/generator.ts";
export type { Likelihood } from "./sampling/likelihood.ts";
export type { Blend, TokenSampleOptions, TokenSampler } from "./sampling/options.ts";
export { cachedSampler, uncachedSampler } from "./sampling/sampler.ts";
export { type Grid, type Grids, slidingSampler } from "./sampling/sliding.ts";
export { perceptualLoss } from "./stage1/perceptual.ts";
export { type Stage1Options, Stage1Trainer } from "./stage1/trainer.ts";
export { type TokenArray, TokenPairs } from "./stage2/token-pairs.ts";
export { type TokenEncoding, type TokenSplits, tokensOf } from "./stage2/tokens.ts";
export { type Stage2Options, Stage2Trainer } from "./stage2/trainer.ts";
export { Interrupt, InterruptedError, type StopReason } from "./support/interrupt.ts";
export { PackageError } from "./support/packages.ts";
export { type Progress, silent } from "./support/progress.ts";
export type { StepMetrics, Trainer } from "./support/trainer.ts";
