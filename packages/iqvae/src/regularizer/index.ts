export { meanColors } from "./colors.ts";
export { type EstimatorConfig, type EstimatorInput, estimatorSchema, regularizerSchema } from "./config.ts";
export { createRegularizer, type Regularizer } from "./create.ts";
export { DISTANCES, type Distance } from "./distances.ts";
export { type EntropicOptions, entropic } from "./entropic.ts";
export type { Estimator } from "./estimator.ts";
export { normalized } from "./normalized.ts";
export { type PairedOptions, paired } from "./paired.ts";
export { type SlicedOptions, sliced } from "./sliced.ts";
