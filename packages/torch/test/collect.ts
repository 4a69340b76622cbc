import { setTimeout } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { liveTensors } from "@iqvae/torch";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

/** Collects garbage and lets finalizers run, until `done` or for two seconds. */
export async function collectUntil(done: () => boolean): Promise<void> {
  for (let round = 0; round < 100 && !done(); round++) {
    gc();
    await setTimeout(20);
  }
}

/** How many tensors there are without the garbage of earlier tests, which would go at any time while others are counted. */
export async function settledTensors(): Promise<number> {
  let before = Number.POSITIVE_INFINITY;
  while (liveTensors() < before) {
    before = liveTensors();
    gc();
    await setTimeout(20);
  }
  return before;
}
