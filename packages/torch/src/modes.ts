import { supportsBfloat16, warnOfFloat32 } from "./bfloat16.ts";
import { DTYPE_CODES } from "./dtype.ts";
import { ANYTHING, expectOptions, FLAG, tensorsOf } from "./given.ts";
import { autocastOnMeta, forgetMetaCasts } from "./meta.ts";
import { native } from "./native.ts";
import { synchronous } from "./synchronous.ts";
import { getDefaultDevice, Tensor } from "./tensor.ts";

const ADVICE = "the mode would leak into other code";

/** Runs `body` without recording gradients. */
export function noGrad<T>(body: () => T): T {
  const before = native.setGradMode(false);
  try {
    return synchronous("noGrad", body(), ADVICE);
  } finally {
    native.setGradMode(before);
    if (before) forgetCasts();
  }
}

/** Like {@link noGrad} and cheaper by call; its tensors cannot take part in gradients later. */
export function inferenceMode<T>(body: () => T): T {
  native.pushInferenceMode();
  try {
    return synchronous("inferenceMode", body(), ADVICE);
  } finally {
    native.popInferenceMode();
    forgetCasts();
  }
}

/**
 * An autocast around keeps the weights that it has cast until it ends. Those cast where nothing is recorded would cut what comes
 * after off from the weights.
 */
function forgetCasts(): void {
  native.clearAutocastCache();
  forgetMetaCasts();
}

/**
 * Runs `body` with matrix products and convolutions in `dtype` and what needs range in float32, as PyTorch's autocast.
 *
 * Where bfloat16 loses its digits (see {@link supportsBfloat16}), `body` runs in float32 instead and a warning is given once,
 * so that what was trained elsewhere can be used everywhere.
 */
export function autocast<T>(
  options: { dtype?: "bfloat16" | "float16"; device?: string; enabled?: boolean },
  body: () => T,
): T {
  expectOptions("autocast", options, AUTOCAST_OPTIONS);
  const { device = getDefaultDevice(), dtype = "bfloat16", enabled = true } = options;
  if (dtype !== "bfloat16" && dtype !== "float16")
    throw new TypeError(`autocast: dtype must be "bfloat16" or "float16", but is ${JSON.stringify(dtype)}`);
  if (device === "meta")
    return autocastOnMeta(enabled ? dtype : undefined, () => synchronous("autocast", body(), ADVICE));
  const reliable = !enabled || dtype !== "bfloat16" || supportsBfloat16(device);
  if (!reliable) warnOfFloat32();
  const [enabledBefore, dtypeBefore] = native.setAutocast(enabled && reliable, device, DTYPE_CODES[dtype]);
  try {
    return synchronous("autocast", body(), ADVICE);
  } finally {
    native.setAutocast(enabledBefore, device, dtypeBefore);
    if (!enabledBefore) native.clearAutocastCache();
  }
}

const AUTOCAST_OPTIONS = { dtype: ANYTHING, device: ANYTHING, enabled: FLAG };

/**
 * Gradients of `outputs` with respect to chosen `inputs`, without touching `.grad`.
 *
 * @returns one gradient an input, `null` where the outputs do not depend on it.
 */
export function grad(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  options: { gradients?: readonly Tensor[]; retainGraph?: boolean; createGraph?: boolean } = {},
): (Tensor | null)[] {
  expectOptions("grad", options, { gradients: ANYTHING, retainGraph: FLAG, createGraph: FLAG });
  const handles = (tensors: readonly Tensor[], what: string): number[] =>
    tensorsOf(`grad: the ${what}`, tensors).map((tensor) => tensor.handle);
  const createGraph = options.createGraph ?? false;
  const found = native.grad(
    handles(outputs, "outputs"),
    handles(inputs, "inputs"),
    options.gradients ? handles(options.gradients, "gradients") : null,
    options.retainGraph ?? createGraph,
    createGraph,
  );
  return found.map((handle) => (handle === null ? null : new Tensor(handle)));
}

/** The number of threads of one operator; the number of cores at the start. */
export function setNumThreads(count: number): void {
  native.setThreads(count);
}

export function getNumThreads(): number {
  return native.threads();
}

/** How many CUDA devices libtorch sees; 0 when it was built without CUDA. */
export function cudaDeviceCount(): number {
  return native.cudaDevices();
}

/** Whether there is a CUDA device to compute on. */
export function cudaIsAvailable(): boolean {
  return cudaDeviceCount() > 0;
}

/** How many tensors are alive on the native side, for leak checks. */
export function liveTensors(): number {
  return native.liveTensors();
}

/** The version of libtorch, e.g. `2.4.1`. */
export function torchVersion(): string {
  return native.version;
}

/** What compiled the kernels of this package, and the instructions of this processor that they use. */
export function kernelBuild(): { compiler: string; instructionSet: "AVX-512" | "AVX2" | "base" } {
  return { compiler: native.compiler, instructionSet: native.instructionSet };
}
