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
export { PAPER_PRESET_NAMES, PAPER_PRESETS } from "./config/paper.ts";
export * from "./data/index.ts";
export { ImageGenerator } from "./generator.ts";
export * from "./metrics/index.ts";
export { type AutoencoderConfig, Decoder, Encoder } from "./models/autoencoder.ts";
export { IqVae, type IqVaeConfig, VqAutoencoder, type VqConfig } from "./models/iqvae.ts";
export { type Quantized, Quantizer, type QuantizerConfig } from "./models/quantizer.ts";
export { type TokenShape, Transformer, type TransformerConfig } from "./models/transformer.ts";
export { type StageCost, stage1Cost, stage2Cost } from "./plan/cost.ts";
export { countParameters, H100, type Plan, plan, type StagePlan } from "./plan/plan.ts";
export { type Planned, type PlannedCondition, plannedOf } from "./plan/planned.ts";
export * from "./regularizer/index.ts";
export { compareReport } from "./report/compare.ts";
export { report } from "./report/report.ts";
export { type PartialImage, readMask, readPartialImage } from "./sampling/completion.ts";
export type { Likelihood } from "./sampling/likelihood.ts";
export type { Blend, Noise, SampleOptions, TokenSampleOptions, TokenSampler } from "./sampling/plan.ts";
export { cachedSampler, uncachedSampler } from "./sampling/sampler.ts";
export { type Grid, type Grids, slidingSampler } from "./sampling/sliding.ts";
export { Interrupt } from "./training/interrupt.ts";
export { type Progress, silent } from "./training/progress.ts";
export { createRun, openRun, type RunFolder } from "./training/run-folder.ts";
export { Stage1Trainer } from "./training/stage1.ts";
export { Stage2Trainer } from "./training/stage2.ts";
export { trainRun } from "./training/train-run.ts";
export type { Trainer } from "./training/trainer.ts";
