import { createHash } from "node:crypto";
import { bestCheckpoint, checkpointPath, describeCheckpoint, listCheckpoints } from "./checkpoint.ts";
import type { RunFolder } from "./run-folder.ts";

/**
 * What the weights that a run draws with are known by: the last of stage 1, and of stage 2 the best, or those after a step.
 *
 * @returns undefined where they are not there, or the descriptions of the checkpoints cannot be read
 */
export function weightsDigest({ checkpoints }: Pick<RunFolder, "checkpoints">, step?: number): string | undefined {
  try {
    const stage1 = listCheckpoints(checkpoints, "stage1")[0]?.path;
    const stage2 =
      step === undefined ? bestCheckpoint(checkpoints, "stage2") : checkpointPath(checkpoints, "stage2", step);
    if (stage1 === undefined || stage2 === undefined) return undefined;
    const hashes = [stage1, stage2].map((path) => describeCheckpoint(path).tensors.sha256);
    return createHash("sha256").update(hashes.join(" ")).digest("hex");
  } catch {
    return undefined;
  }
}
