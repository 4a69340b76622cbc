import { availableParallelism } from "node:os";
import { groupBackends, initProcessGroup, type Launch, launchOf, processGroup, setNumThreads } from "@iqvae/torch";
import { DivergedError } from "../run/loop.ts";
import { type RunFolder, runOf } from "../run/run-folder.ts";
import { Peers } from "../support/peers.ts";
import { type Progress, silent } from "../support/progress.ts";
import { OtherFailedError } from "../support/turns.ts";

/* The processes of one training: those that `--processes` starts, or a launcher such as torchrun. */

/** Has each process of a machine see the CUDA device of its number alone, as `cuda`. Call it before libtorch is loaded. */
export function takeOwnDevice(env: NodeJS.ProcessEnv = process.env): void {
  const { size, localRank } = launchIn(env);
  if (size === 1) return;
  const visible = env.CUDA_VISIBLE_DEVICES?.split(",");
  // A launcher that gave each process its own device has named one.
  if (visible === undefined) env.CUDA_VISIBLE_DEVICES = String(localRank);
  else if (visible.length > localRank && visible.length > 1) env.CUDA_VISIBLE_DEVICES = visible[localRank]!;
}

/** Not all commands care for launchers: only those that join complain of variables that make no sense. */
function launchIn(env: NodeJS.ProcessEnv): Pick<Launch, "size" | "localRank"> {
  try {
    return launchOf(env);
  } catch {
    return { size: 1, localRank: 0 };
  }
}

/**
 * Joins the processes that a launcher started; nothing where there is none. Each computes with its share of the cores, unless
 * `OMP_NUM_THREADS` or `threads` say otherwise.
 */
export function joinPeers(device: string, threads: number | undefined): Peers | undefined {
  const launch = launchOf();
  if (launch.size === 1) return undefined;
  const group = initProcessGroup({
    launch,
    timeout: timeoutOf(process.env),
    nccl: device !== "cpu" && groupBackends().includes("nccl"),
  });
  const share = Math.max(1, Math.floor(availableParallelism() / launch.localSize));
  if (threads === undefined && !process.env.OMP_NUM_THREADS) setNumThreads(share);
  return new Peers(group);
}

function timeoutOf({ IQVAE_GROUP_TIMEOUT: text }: NodeJS.ProcessEnv): number {
  const seconds = Number(text ?? 600);
  if (seconds > 0 && seconds <= 1e6) return seconds;
  throw new RangeError(
    `IQVAE_GROUP_TIMEOUT is '${text}', but must be a number of seconds above 0 and up to a million, after which a process is given up.`,
  );
}

/** Opens a run in the first process, and tells the others of it. */
export async function openTogether(peers: Peers | undefined, open: () => RunFolder): Promise<RunFolder> {
  if (peers === undefined) return open();
  let own: RunFolder | undefined;
  const told = await peers.onFirst(() => {
    own = open();
    return { path: own.path, config: own.config };
  });
  return own ?? runOf(told);
}

/** Only the first of several processes speaks. */
export function voiceOf(peers: Peers | undefined, progress: Progress): Progress {
  return peers === undefined || peers.isFirst ? progress : silent;
}

/** Whether the first process has said the same already. */
export function isSaid(error: unknown): boolean {
  const rank = processGroup()?.rank ?? 0;
  return rank > 0 && (error instanceof OtherFailedError || error instanceof DivergedError);
}
