// Compiled in the folder of the installed packages: their types must be found, and be right.
import { type Bundle, ImageGenerator, type WorkerGenerator } from "@iqvae/runtime";
import { ops, type Tensor, tensor } from "@iqvae/torch";
import { type Config, loadConfig, openRun, ImageGenerator as TorchGenerator } from "iqvae";

export async function size(folder: string): Promise<number> {
  const generator: ImageGenerator | WorkerGenerator = await ImageGenerator.load(folder);
  const model: Bundle = generator.model;
  // @ts-expect-error: the side is a number
  const wrong: string = model.size;
  return model.size + wrong.length;
}
export const doubled: Tensor = ops.aten.mul(tensor([1, 2]), 2);
// @ts-expect-error: there is no such operator
export const nothing = ops.aten.no_such_operator;
export const config: Promise<Config> | Config = loadConfig("tiny");
export const images: Uint8Array[][] = TorchGenerator.load(openRun("runs/tiny")).draw([new Uint8Array(1024)]);
