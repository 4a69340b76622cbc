import { scope } from "@iqvae/torch";
import type { Trial } from "./made-up.ts";

/** Seconds of a step: `fixed + rows · each`. */
export interface StepTime {
  readonly fixed: number;
  readonly each: number;
}

/** Rows of a timed step at most, and the seconds that it may take if it is to be of more than two. */
const MOST_ROWS = 16;
const STEP = 0.25;
/** Seconds that the repeats of quick steps take. */
const REPEATS = 1;

/**
 * Times steps of one row and of several on this machine, in some seconds. The quickest of some repeats counts, after two that
 * prepare kernels and memory and place the codes: it is the one that other work on the machine disturbed least.
 *
 * @param rows of a real step, all in one pass
 */
export function timeSteps({ trainer }: Pick<Trial, "trainer">, rows: number): StepTime {
  const step = (rows: number) => secondsOf(() => scope(() => trainer.step(new Uint32Array(rows))));
  step(1);
  step(1);
  const one = quickest(() => step(1));
  if (rows === 1) return { fixed: 0, each: one };
  const several = Math.min(rows, MOST_ROWS, Math.max(2, Math.floor(STEP / one)));
  const each = Math.max(0, quickest(() => step(several)) - one) / (several - 1);
  return { fixed: Math.max(0, one - each), each };
}

function quickest(seconds: () => number): number {
  let best = Number.POSITIVE_INFINITY;
  for (let spent = 0; spent < REPEATS; ) {
    const took = seconds();
    best = Math.min(best, took);
    spent += took;
  }
  return best;
}

function secondsOf(body: () => void): number {
  const begin = performance.now();
  body();
  return (performance.now() - begin) / 1000;
}
