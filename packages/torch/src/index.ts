import "./methods.ts";

export { OperatorError } from "./dispatch.ts";
export type { DType, Layout, MemoryFormat, TypedArray, TypedArrayOf } from "./dtype.ts";
export type { Namespaces } from "./generated/ops.ts";
export { Generator, getRandomState, manualSeed, setRandomState } from "./generator.ts";
export {
  autocast,
  cudaDeviceCount,
  getThreads,
  grad,
  inferenceMode,
  liveTensors,
  noGrad,
  setThreads,
  torchVersion,
} from "./modes.ts";
export { callOperator, hasOperator, ops } from "./ops.ts";
export { scope, unscoped } from "./scope.ts";
export { getDefaultDevice, type NestedNumbers, setDefaultDevice, Tensor, tensor } from "./tensor.ts";
