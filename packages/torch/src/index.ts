/**
 * libtorch for Node.js: tensors, operators, gradients, layers, optimizers, files.
 *
 * @module @iqvae/torch
 */

import "./methods.ts";

export { supportsBfloat16 } from "./bfloat16.ts";
export { builtLibrary, nameSetup } from "./built.ts";
export { CudaGraph, cudaGraphsAreAvailable } from "./cuda-graph.ts";
export { type Collated, defaultCollate } from "./data/collate.ts";
export { type BatchedDataset, DataLoader, type Dataset, type LoaderOptions, TensorDataset } from "./data/loader.ts";
export { OperatorError } from "./dispatch.ts";
export { GradientBuckets } from "./distributed/buckets.ts";
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
export type { Device, DType, Layout, MemoryFormat, TypedArray, TypedArrayOf } from "./dtype.ts";
export { ASIDE, checkWritable, explainWriting, FileReplacement, replaceFile, WriteError } from "./files.ts";
export type { Namespaces } from "./generated/ops.ts";
export { Generator, getRngState, manualSeed, setRngState } from "./generator.ts";
export { loadLibrary } from "./library.ts";
export { metaBytes, peakMetaBytes } from "./meta.ts";
export {
  autocast,
  cudaDeviceCount,
  cudaIsAvailable,
  getNumThreads,
  grad,
  inferenceMode,
  kernelBuild,
  liveTensors,
  noGrad,
  setNumThreads,
  torchVersion,
} from "./modes.ts";
export { tuneProcess } from "./native.ts";
export { didYouMean } from "./nearest.ts";
export { type AttentionCall, type AttentionOptions, MultiheadAttention } from "./nn/attention.ts";
export { Conv1d, Conv2d, type ConvOptions, ConvTranspose2d, type ConvTransposeOptions } from "./nn/conv.ts";
export { Dropout, dropoutAdd, Embedding, Linear } from "./nn/layers.ts";
export {
  BCEWithLogitsLoss,
  type ClassLossOptions,
  CrossEntropyLoss,
  type CrossEntropyOptions,
  HuberLoss,
  KLDivLoss,
  type KLDivOptions,
  L1Loss,
  type LossOptions,
  MSELoss,
  NLLLoss,
  SmoothL1Loss,
} from "./nn/loss.ts";
export { type IncompatibleKeys, Module } from "./nn/module.ts";
export { BatchNorm1d, BatchNorm2d, type BatchNormOptions, GroupNorm, groupNorm, LayerNorm } from "./nn/norm.ts";
export { buffer, parameter } from "./nn/parameter.ts";
export { type Layer, Sequential } from "./nn/sequential.ts";
export {
  AdaptiveAvgPool2d,
  AvgPool2d,
  Flatten,
  GELU,
  LeakyReLU,
  MaxPool2d,
  type PoolOptions,
  ReLU,
  Sigmoid,
  SiLU,
  Tanh,
  Upsample,
} from "./nn/stateless.ts";
export { type OperatorCall, observeCalls } from "./observe.ts";
export { callOperator, hasOperator, ops } from "./ops.ts";
export { Adam, type AdamOptions, AdamW, decayMatrices, type Moments } from "./optim/adam.ts";
export { clipGradNorm, clipGradNorm_ } from "./optim/clip.ts";
export { Ema } from "./optim/ema.ts";
export { CosineAnnealingLR, LambdaLR, LRScheduler, type Schedulable, StepLR } from "./optim/lr-scheduler.ts";
export {
  Optimizer,
  type Parameters,
  type ParametersOrGroups,
  type ParamGroup,
  type StepOptions,
  type Update,
} from "./optim/optimizer.ts";
export { linearRamp, warmupCosine } from "./optim/schedule.ts";
export { type Direction, SGD, type SGDOptions } from "./optim/sgd.ts";
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
export { load, type Saved, save } from "./save.ts";
export { scope, unscoped } from "./scope.ts";
export type { Stateful } from "./state-dict.ts";
export { getDefaultDevice, type NestedNumbers, setDefaultDevice, Tensor, tensor } from "./tensor.ts";
export type { Nested } from "./values.ts";
