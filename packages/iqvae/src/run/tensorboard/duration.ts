import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Stage } from "../../support/trainer.ts";

/**
 * How long a stage was trained, by the times of its events: the sum over sessions of the time from the first to the last. What
 * came before the first line of the log, and what was not told any more, is not in it.
 *
 * @param folder that of the event files of a run
 * @returns seconds; 0 where there are no events
 */
export function trainedSeconds(folder: string, stage: Stage): number {
  const train = join(folder, stage, "train");
  if (!existsSync(train)) return 0;
  const sessions = readdirSync(train).filter((name) => name.startsWith("events.out.tfevents."));
  return sessions.reduce((sum, name) => sum + span(readFileSync(join(train, name))), 0);
}

/** Seconds from the first to the last of the records that are whole: a length of 8 bytes and its CRC, the event, its CRC. */
function span(file: Buffer): number {
  const times: number[] = [];
  for (let at = 0; at + 12 <= file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    if (at + 16 + length > file.length) break;
    // An event of ours begins with its time: the key of field 1, then a double.
    times.push(file.readDoubleLE(at + 12 + 1));
    at += 16 + length;
  }
  return times.length === 0 ? 0 : times.at(-1)! - times[0]!;
}
