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
export * from "./conditions/spec.ts";
export { DisposedError, ModelError, type ModelProblem } from "./errors.ts";
export * from "./layers.ts";
export { readWeights, toFloat32, type Weight, type Weights } from "./weights.ts";
