import { STAGES } from "../support/trainer.ts";
import { listCheckpoints } from "./checkpoint.ts";
import type { RunFolder } from "./run-folder.ts";

/** What a run has done of what it is to do. */
export interface RunStatus {
  readonly stage: (typeof STAGES)[number];
  readonly step: number;
  readonly steps: number;
  readonly finished: boolean;
}

export function statusOf({ checkpoints, config }: RunFolder): RunStatus {
  const at = STAGES.map((stage) => ({
    stage,
    step: listCheckpoints(checkpoints, stage)[0]?.step ?? 0,
    steps: config[stage].steps,
  }));
  const open = at.find(({ step, steps }) => step < steps);
  return open === undefined ? { ...at.at(-1)!, finished: true } : { ...open, finished: false };
}
