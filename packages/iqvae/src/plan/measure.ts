import { type Planned, plannedTokens } from "./planned.ts";
import { stage1Trial, stage2Trial, type Trial } from "./trial.ts";

/** Seconds of one step on this machine. */
export interface StepTimes {
  readonly stage1: number;
  readonly stage2: number;
}

/** Items of a timed pass at most, and the seconds that it may take so that there is more than one. */
const MOST_ITEMS = 16;
const PASS = 0.25;
/** Seconds that the repeats of a measurement take; slow passes are repeated once. */
const REPEATS = 1.5;

/**
 * Times a step of each stage on made-up data, in some seconds: passes through stage 1, and through transformers of one and of two
 * layers, whose difference is a layer. The quickest of some repeats counts, after one that prepares kernels and memory: it is
 * the one that other work on the machine disturbed least. Passes of a few items count as often as they go into the batch; the
 * optimizer's time goes with the parameters.
 *
 * @param extraPasses what second passes add, as a share of the first ones
 */
export function measureStepTimes(planned: Planned, extraPasses: number): StepTimes {
  const tokens = plannedTokens(planned);
  const { transformer, precision, stage1Batch, stage2Batch, accumulate } = planned;
  const first = timed(stage1Batch, (batch) => stage1Trial(planned, batch));
  const [one, two] = [1, 2].map((layers) =>
    timed(stage2Batch, (batch) => stage2Trial({ ...transformer, layers }, tokens, precision, batch)),
  );
  const layer = { pass: Math.max(0, two!.pass - one!.pass), update: Math.max(0, two!.update - one!.update) };
  const whole = (part: "pass" | "update") => one![part] + (transformer.layers - 1) * layer[part];
  return {
    stage1: first.pass + first.update,
    stage2: whole("pass") * accumulate * (1 + extraPasses) + whole("update"),
  };
}

export interface Timed {
  /** Of a whole batch. */
  readonly pass: number;
  readonly update: number;
}

/**
 * Times a batch of trials.
 *
 * @param make a trial of so many items; it is disposed here
 */
export function timed(batch: number, make: (batch: number) => Trial): Timed {
  const single = warmed(make(1));
  const items = Math.max(1, Math.min(batch, MOST_ITEMS, Math.floor(PASS / secondsOf(single.pass))));
  const trial = items === 1 ? single : warmed(make(items));
  const { pass, update } = quickest(trial);
  for (const each of new Set([single, trial])) each.dispose();
  return { pass: (pass * batch) / items, update };
}

function warmed(trial: Trial): Trial {
  trial.pass();
  trial.update();
  return trial;
}

function quickest(trial: Trial): Timed {
  const best = { pass: Number.POSITIVE_INFINITY, update: Number.POSITIVE_INFINITY };
  const begin = performance.now();
  do {
    best.pass = Math.min(best.pass, secondsOf(trial.pass));
    best.update = Math.min(best.update, secondsOf(trial.update));
  } while (performance.now() - begin < 1000 * REPEATS);
  return best;
}

function secondsOf(body: () => void): number {
  const begin = performance.now();
  body();
  return (performance.now() - begin) / 1000;
}
