/**
 * Draws with exported models in Node.js and browsers.
 *
 * @module @iqvae/runtime
 */

export {
  BUNDLE_FORMAT,
  type Bundle,
  type FileEntry,
  MODEL_FILE,
  parseBundle,
  type SamplingDefaults,
  WEIGHT_TYPES,
  WEIGHTS_FILE,
  type WeightType,
} from "./bundle.ts";
export { checkRaster } from "./conditions/check.ts";
export type { Condition } from "./conditions/condition.ts";
export { plainCondition } from "./conditions/index.ts";
export { bumpDeviation } from "./conditions/key-points.ts";
export { type Box, layoutBytes } from "./conditions/layout.ts";
export { meanFidelity } from "./conditions/mean-fidelity.ts";
export { GOLDEN_ANGLE, hslColor } from "./conditions/raster.ts";
export * from "./conditions/spec.ts";
export { plainText, textBytes, textOf } from "./conditions/text.ts";
export type { DrawnModel, Engine, EngineFactory, ReadFile, Soon } from "./engines/engine.ts";
export { type OnnxRuntime, onnxEngine } from "./engines/onnx.ts";
export { ownEngine } from "./engines/own.ts";
export { DisposedError, ModelError, type ModelProblem } from "./errors.ts";
export type { ModelSource } from "./files.ts";
export { type Frame, ImageGenerator, type ImageOptions, type LoadOptions } from "./generator.ts";
export * from "./layers.ts";
export {
  boxBytes,
  type CutBox,
  cutBoxes,
  isNumber,
  type PixelBox,
  type Point,
  parseBoxes,
  parsePoints,
  pointBytes,
} from "./media/annotations.ts";
export { type Crop, cropOf } from "./media/crop.ts";
export { colorEdges, crestEdges } from "./media/edges.ts";
export { FileProblem, type FileProblemKind } from "./media/file-problem.ts";
export {
  expectNoOtherColors,
  expectOpaque,
  keepNearest,
  type LabelMap,
  labelsOf,
  type StoredPixels,
} from "./media/labels.ts";
export { linesOfGray } from "./media/lines.ts";
export { logMel } from "./media/log-mel.ts";
export { readWav, type Waveform } from "./media/wav.ts";
export type { DrawOptions } from "./sampling/choose.ts";
export { NOISE_VERSION } from "./sampling/noise.ts";
export {
  checkSampleOptions,
  type Noise,
  type SampleOptions,
  type TokenCounts,
  type TokenSampleOptions,
} from "./sampling/options.ts";
export { type Answer, type Question, type Sequences, sampleTokens } from "./sampling/sample.ts";
export { sampleSeed } from "./sampling/seeds.ts";
export { hex, sha256 } from "./sampling/sha256.ts";
export { readWeights, toFloat32, type Weight, type Weights } from "./weights.ts";
export { WorkerGenerator, type WorkerOptions } from "./worker/client.ts";
export type { Port } from "./worker/protocol.ts";
export { serve } from "./worker/serve.ts";

// What the declarations of the generators name, for those who compile without the library that has it.
declare global {
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol;
  }
  interface AsyncDisposable {
    [Symbol.asyncDispose](): PromiseLike<void>;
  }
}
