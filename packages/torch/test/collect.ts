import { setTimeout } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

/** Collects garbage and lets finalizers run, until `done` or for so many rounds of a fiftieth of a second. */
export async function collectUntil(done: () => boolean, rounds = 100): Promise<void> {
  for (let round = 0; round < rounds && !done(); round++) {
    gc();
    await setTimeout(20);
  }
}
