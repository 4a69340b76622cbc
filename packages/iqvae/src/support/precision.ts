import { autocast, cudaDeviceCount, getDefaultDevice, inferenceMode } from "@iqvae/torch";
import { type Processor, processor } from "./processor.ts";

/** What matrix products and convolutions compute in; weights and sums stay float32. */
export type Precision = "bfloat16" | "float32";

/** What the choice of a precision depends on. */
interface Machine {
  readonly gpus: number;
  readonly processor: Pick<Processor, "bfloat16">;
}

const thisMachine = (): Machine => ({ gpus: cudaDeviceCount(), processor: processor() });

/** The faster precision of a machine: bfloat16 on a GPU or a processor with instructions for it, else float32. */
export function fastPrecision(machine: Machine = thisMachine()): Precision {
  return machine.gpus > 0 || machine.processor.bfloat16.length > 0 ? "bfloat16" : "float32";
}

/**
 * What to draw in with a model that was trained in `trained`. On a processor always float32: the same seed has to draw the same
 * images on any of them, and with any engine of `@iqvae/runtime`; bfloat16 is emulated on many.
 *
 * @param device as for {@link inPrecision}
 */
export function samplingPrecision(trained: Precision, device: string = getDefaultDevice()): Precision {
  return device.startsWith("cpu") ? "float32" : trained;
}

/**
 * Runs `body` with matrix products and convolutions in a precision.
 *
 * @param device `cpu` or `cuda`, with or without a number. Default: that of new tensors
 */
export function inPrecision<T>(
  { precision, device = getDefaultDevice() }: { readonly precision: Precision; readonly device?: string },
  body: () => T,
): T {
  if (precision === "float32") return body();
  return autocast({ dtype: precision, device: device.split(":")[0]! }, body);
}

/**
 * Runs `body` without gradients and outside any autocast around it: samples and figures must not depend on who asks for them.
 *
 * @param device as for {@link inPrecision}
 */
export function inPlainMode<T>(body: () => T, device: string = getDefaultDevice()): T {
  return inferenceMode(() => autocast({ enabled: false, device: device.split(":")[0]! }, body));
}
