import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { builtLibrary } from "./built.ts";
import type { TypedArray } from "./dtype.ts";

/** A schema type as the addon describes it. */
export interface NativeType {
  readonly kind: string;
  readonly optional: boolean;
  readonly text: string;
  readonly element?: NativeType;
}

export interface NativeArgument {
  readonly name: string;
  readonly type: NativeType;
  readonly hasDefault: boolean;
  readonly keywordOnly: boolean;
  readonly fixedLength: number;
  /** For returns: the index of the argument that this return is (in-place operators), or -1. */
  readonly written: number;
}

export interface NativeSchema {
  readonly overload: string;
  readonly schema: string;
  readonly arguments: readonly NativeArgument[];
  readonly returns: readonly NativeArgument[];
}

export type NativeFunction = (...values: unknown[]) => unknown;

/** What the C++ addon exports. Handles are integers; see `native/state.h`. */
export interface Native {
  /** Of libtorch. */
  readonly version: string;
  readonly compiler: string;
  readonly instructionSet: "AVX-512" | "AVX2" | "base";
  keepLargeBlocks(): number;
  operatorNames(): string[];
  methodNames(): string[];
  describeOperator(name: string, overload: string): NativeSchema | undefined;
  bindOperator(name: string, overload: string): NativeFunction;
  fromTypedArray(array: TypedArray, shape: readonly number[], dtype: number, device: string): number;
  copyToTypedArray(handle: number, array: TypedArray): void;
  shape(handle: number): number[];
  strides(handle: number): number[];
  scalarType(handle: number): number;
  device(handle: number): string;
  item(handle: number): number | boolean;
  /** Returns by how many bytes V8 knows of more, or less; see `tell` in `native/state.h`. */
  release(handles: number | readonly number[]): number;
  tellSize(handle: number): number;
  releasedShape(handle: number): number[] | undefined;
  liveTensors(): number;
  backward(outputs: readonly number[], gradients: readonly number[] | null, retainGraph: boolean): void;
  backwardAsync(output: number, gradient: number | null, retainGraph: boolean): Promise<void>;
  grad(
    outputs: readonly number[],
    inputs: readonly number[],
    gradients: readonly number[] | null,
    retainGraph: boolean,
    createGraph: boolean,
  ): (number | null)[];
  getGrad(handle: number): number | undefined;
  setGrad(handle: number, gradient: number | null): void;
  requiresGrad(handle: number): boolean;
  setRequiresGrad(handle: number, value: boolean): void;
  setGradMode(enabled: boolean): boolean;
  pushInferenceMode(): void;
  popInferenceMode(): void;
  setAutocast(enabled: boolean, device: string, dtype: number): [enabled: boolean, dtype: number];
  clearAutocastCache(): void;
  createGenerator(device: string, seed: bigint): number;
  releaseGenerator(index: number): void;
  generatorState(generator: number | string): number;
  setGeneratorState(generator: number | string, state: number): void;
  seedGenerator(generator: number | string, seed: bigint): void;
  setThreads(count: number): void;
  threads(): number;
  cudaDevices(): number;
  loadLibrary(path: string): void;
  /** Names with commas between; see `native/distributed/group.cc`. */
  readonly groupBackends: string;
  joinGroup(
    address: string,
    port: number,
    rank: number,
    size: number,
    prefix: string,
    timeoutMs: number,
    nccl: boolean,
    together: boolean,
  ): void;
  leaveGroup(): void;
  sharesMemory(): boolean;
  storeSet(key: string, text: string): void;
  storeGet(key: string): string | undefined;
  /** Numbers of buckets of gradients; see `native/distributed/buckets.cc`. */
  createBuckets(parameters: readonly number[], bytes: number): number;
  armBuckets(buckets: number): void;
  finishBuckets(buckets: number): void;
  releaseBuckets(buckets: number): void;
}

let addon: Native | undefined;
let tuned = false;
const afterLoading: (() => void)[] = [];

function load(): Native {
  if (addon !== undefined) return addon;
  addon = createRequire(import.meta.url)(
    builtLibrary(fileURLToPath(new URL("../build", import.meta.url)), "torch.node"),
  ) as Native;
  Object.assign(native, addon);
  if (tuned) tune(addon);
  for (const task of afterLoading) task();
  return addon;
}

/**
 * The addon, which is loaded when the first of its properties is read, and libtorch with it: an import alone changes nothing
 * in the process. From then on all are plain properties.
 */
export const native: Native = Object.create(
  new Proxy({} as Native, { get: (_, name) => (typeof name === "string" ? load()[name as keyof Native] : undefined) }),
) as Native;

/** Runs `task` as soon as the addon is there. */
export function onceLoaded(task: () => void): void {
  afterLoading.push(task);
}

/** Read by libgomp when the addon brings it in. Its own choice is to spin for milliseconds, on a core that others may want. */
const SPIN_COUNT = "1000";

/**
 * Sets the process up for work on the CPU. A program calls it at its start, before the first tensor; later it does what can
 * still be done.
 *
 * - glibc's `malloc` keeps large blocks instead of handing them back to the kernel after every step.
 * - Operators run on as many threads as there are cores, or as `OMP_NUM_THREADS` says, or the first number of its list. libtorch
 *   would start with what OpenMP counts, which in a container is often one. Of what is not a number of threads, or more than four
 *   a core, there is a warning, and it is not followed: so many would wait for each other, or could not be started at all.
 * - Threads that wait for work spin for a short time only: on a machine that others use too, spinning takes from the thread that is
 *   waited for, and a training is many times slower. `GOMP_SPINCOUNT` is left alone if it is set. Once libtorch is loaded
 *   it is too late for this, and there is a warning.
 */
export function tuneProcess(): void {
  if (tuned) return;
  tuned = true;
  if (addon !== undefined) {
    if (process.env.GOMP_SPINCOUNT === undefined) warnOfSpinning();
    tune(addon);
  } else process.env.GOMP_SPINCOUNT ??= SPIN_COUNT;
}

function warnOfSpinning(): void {
  process.emitWarning(
    "tuneProcess() was called after libtorch was loaded, so its threads spin while they wait, and are slow beside other work; " +
      `call it before the first operator, or set GOMP_SPINCOUNT=${SPIN_COUNT} in the environment`,
    { code: "TORCH_SPINS" },
  );
}

function tune(addon: Native): void {
  addon.keepLargeBlocks();
  addon.setThreads(threadsWanted(process.env.OMP_NUM_THREADS, availableParallelism()));
}

function threadsWanted(setting: string | undefined, cores: number): number {
  if (setting === undefined || setting.trim() === "") return cores;
  // A list has one number for each level of nested parallelism.
  const first = /^\s*\+?(\d+)\s*(,\s*\+?\d+\s*)*$/.exec(setting)?.[1];
  const threads = Number(first);
  if (threads >= 1 && threads <= 4 * cores) return threads;
  process.emitWarning(
    `OMP_NUM_THREADS is '${setting}', but must be a number of threads from 1 to ${4 * cores}, four for each core; ` +
      `computing with ${cores}`,
    { code: "TORCH_THREADS" },
  );
  return cores;
}
