import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readRaster } from "../../../media/raster.ts";
import type { PackageSource } from "../../packages.ts";
import { CIFAR10 } from "./packages.ts";

/** Side of a photograph in pixels. */
export const SIDE = 32;
const BYTES = SIDE * SIDE * 3;

/** One half of CIFAR-10. */
export interface Photographs {
  /** Class numbers, by photograph. */
  readonly labels: readonly number[];
  /** RGB bytes `[32, 32, 3]`. */
  image(index: number): Uint8Array;
}

/** The photographs to train on, and those that are held out. */
export async function cifar10(source: PackageSource): Promise<{ train: Photographs; test: Photographs }> {
  const folder = await source(CIFAR10);
  const batches = (names: readonly string[]) => names.map((name) => join(folder, name));
  const [trainFiles, testFiles] = [CIFAR10.files!.slice(0, 5), CIFAR10.files!.slice(5, 6)];
  return {
    train: await photographs(batches(trainFiles), join(folder, "train_lables.json")),
    test: await photographs(batches(testFiles), join(folder, "test_lables.json")),
  };
}

/** A file has a photograph in each row of its pixels, row by row. */
async function photographs(paths: readonly string[], labelPath: string): Promise<Photographs> {
  const labels = JSON.parse(await readFile(labelPath, "utf8")) as number[];
  const files: Uint8Array[] = [];
  for (const path of paths) {
    files.push((await readRaster(path, 3)).pixels);
  }
  const counts = files.map((bytes) => bytes.length / BYTES);
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total !== labels.length) {
    throw new Error(`${labelPath} has ${labels.length} labels, but the files beside it have ${total} photographs.`);
  }
  return {
    labels,
    image(index) {
      let at = index;
      for (const [i, count] of counts.entries()) {
        if (at < count) return files[i]!.slice(at * BYTES, (at + 1) * BYTES);
        at -= count;
      }
      throw new RangeError(`expected a number of a photograph from 0 to ${total - 1}, got ${index}.`);
    },
  };
}
