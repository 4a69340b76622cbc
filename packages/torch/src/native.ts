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
  readonly version: string;
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
}

function load(): Native {
  // OpenMP's threads wait for work by spinning, for milliseconds. On a machine that others use too, that takes from the thread
  // that they wait for; read by libgomp when the addon brings it in.
  process.env.GOMP_SPINCOUNT ??= "20000";
  const native = createRequire(import.meta.url)(
    builtLibrary(fileURLToPath(new URL("../build", import.meta.url))),
  ) as Native;
  // libtorch starts with the threads that OpenMP counts, which in a container is often one.
  native.setThreads(Number(process.env.OMP_NUM_THREADS) || availableParallelism());
  return native;
}

export const native: Native = load();
