import "./methods.ts";

export { supportsBfloat16 } from "./bfloat16.ts";
export { builtLibrary } from "./built.ts";
export { OperatorError } from "./dispatch.ts";
export {
  allGather,
  allReduce,
  allReduceMean,
  barrier,
  broadcast,
  destroyProcessGroup,
  GroupError,
  groupBackends,
  initProcessGroup,
  type ProcessGroup,
  type ProcessGroupOptions,
  processGroup,
  type Reduction,
  storeGet,
  storeSet,
} from "./distributed/group.ts";
export { type Launch, launchOf } from "./distributed/launch.ts";
export type { DType, Layout, MemoryFormat, TypedArray, TypedArrayOf } from "./dtype.ts";
export { ASIDE, checkWritable, explainWriting, FileReplacement, replaceFile, WriteError } from "./files.ts";
export type { Namespaces } from "./generated/ops.ts";
export { Generator, getRandomState, manualSeed, setRandomState } from "./generator.ts";
export { loadLibrary } from "./library.ts";
export { metaBytes, peakMetaBytes } from "./meta.ts";
export {
  autocast,
  cudaDeviceCount,
  getThreads,
  grad,
  inferenceMode,
  kernelBuild,
  liveTensors,
  noGrad,
  setThreads,
  torchVersion,
} from "./modes.ts";
export { tuneProcess } from "./native.ts";
export {
  buffer,
  Conv2d,
  dropoutAdd,
  Embedding,
  GroupNorm,
  groupNorm,
  LayerNorm,
  Linear,
  parameter,
} from "./nn/layers.ts";
export { Module } from "./nn/module.ts";
export { type OperatorCall, observeCalls } from "./observe.ts";
export { callOperator, hasOperator, ops } from "./ops.ts";
export { AdamW, type AdamWOptions, clipGradNorm } from "./optim/adamw.ts";
export { Ema } from "./optim/ema.ts";
export { linearRamp, warmupCosine } from "./optim/schedule.ts";
export {
  type ReadOptions,
  readSafetensors,
  readSafetensorsHeader,
  type SafetensorsEntry,
  SafetensorsError,
  type SafetensorsHeader,
  writeSafetensors,
} from "./safetensors/index.ts";
export { repeatedName } from "./safetensors/names.ts";
export { scope, unscoped } from "./scope.ts";
export { getDefaultDevice, type NestedNumbers, setDefaultDevice, Tensor, tensor } from "./tensor.ts";
