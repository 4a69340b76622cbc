import { ANYTHING, expectOptions, FLAG, tensorsOf } from "../given.ts";
import { native } from "../native.ts";
import { callOperator } from "../ops.ts";
import { Tensor } from "../tensor.ts";
import { type Launch, launchOf } from "./launch.ts";

/** The processes that compute together, as one of them sees it. */
export interface ProcessGroup extends Launch {
  /** Seconds after which whoever waits for the others gives up. */
  readonly timeout: number;
  /** Whether tensors of CUDA devices go through NCCL. */
  readonly nccl: boolean;
  /** Whether float32 values on the CPU are added up in memory that all ranks see, on one machine; else they are sent. */
  readonly sharedMemory: boolean;
}

export interface ProcessGroupOptions {
  /** Who this process is; default: what the launcher's variables say. */
  readonly launch?: Launch;
  /** Seconds after which whoever waits for the others gives up, at the start and later: up to a million. Default 600. */
  readonly timeout?: number;
  /** NCCL for tensors of CUDA devices, where the addon was built with it. Default false: Gloo for all. */
  readonly nccl?: boolean;
}

/** The group cannot go on: a rank was lost, did not answer in time, or never came. */
export class GroupError extends Error {
  override readonly name = "GroupError";
}

const USUAL_TIMEOUT = 600;
/** What waits below counts milliseconds in 32 bits. */
const LONGEST_TIMEOUT = 1e6;

let current: ProcessGroup | undefined;
let broken: string | undefined;

/**
 * Joins the processes that a launcher started: torchrun, Slurm's `srun`, Kubernetes, or one's own (see {@link launchOf}). It waits until all
 * are there. Rank 0 hosts the store by which they find each other. A process alone is a group of one, for which nothing is loaded or
 * opened, and whose collectives do nothing.
 *
 * `GLOO_SOCKET_IFNAME` names the network interface that Gloo is to use, as with PyTorch; by default it is the one by which rank 0 is reached.
 *
 * @throws RangeError for variables of the launcher that make no sense
 * @throws GroupError when not all come within the time-out, when the port is taken, or when this libtorch has no c10d
 */
export function initProcessGroup(options: ProcessGroupOptions = {}): ProcessGroup {
  expectOptions("initProcessGroup", options, { launch: ANYTHING, timeout: ANYTHING, nccl: FLAG });
  const { launch = launchOf(), timeout = USUAL_TIMEOUT, nccl = false } = options;
  if (current !== undefined)
    throw new Error("initProcessGroup: this process is in a group already; leave it by destroyProcessGroup()");
  if (!(timeout > 0 && timeout <= LONGEST_TIMEOUT))
    throw new RangeError(
      `initProcessGroup expects a timeout above 0 and up to ${LONGEST_TIMEOUT} seconds, but got ${timeout}`,
    );
  const several = launch.size > 1;
  if (several) join(launch, timeout, nccl);
  current = { ...launch, timeout, nccl: nccl && several, sharedMemory: several && native.sharesMemory() };
  broken = undefined;
  return current;
}

function join(launch: Launch, timeout: number, nccl: boolean): void {
  const { rank, size, localSize, address, port } = launch;
  // Read when libtorch is loaded. What they would say of lost connections is in the errors.
  process.env.GLOG_minloglevel ??= "3";
  process.env.TORCH_CPP_LOG_LEVEL ??= "ERROR";
  try {
    native.joinGroup(address, port, rank, size, "iqvae", Math.ceil(timeout * 1000), nccl, localSize === size);
  } catch (error) {
    const reason = (error as Error).message.trim();
    throw new GroupError(
      `Rank ${rank} of ${size} could not join the others. ${whyNotJoined(launch, timeout, reason)}`,
      { cause: error },
    );
  }
  process.on("exit", leaveAtExit);
}

function whyNotJoined({ rank, size, address, port }: Launch, timeout: number, reason: string): string {
  if (/address already in use|EADDRINUSE/i.test(reason))
    return `Port ${port} of ${address} is taken, perhaps by another training: set MASTER_PORT to a free one for all ranks. (${reason})`;
  if (/no c10d|built without NCCL/.test(reason)) return reason;
  const late = isLate(reason);
  if (reason.startsWith("ranks connecting"))
    return (
      `${late ? `Within ${timeout} s the` : "The"} ${size} ranks, which came to ${address}:${port}, could not connect to each other: ` +
      `is WORLD_SIZE the same for all, and does a firewall let their machines through, at any port? ` +
      `GLOO_SOCKET_IFNAME names the interface of another network. (${reason})`
    );
  if (rank > 0 && hasNoStore(reason))
    return `${late ? `Within ${timeout} s no` : "No"} store of rank 0 answered at ${address}:${port}: is rank 0 running, and are MASTER_ADDR and MASTER_PORT those of its machine? (${reason})`;
  return `${late ? `Within ${timeout} s not` : "Not"} all of ${size} ranks came to ${address}:${port}: did one fail before, is WORLD_SIZE right for all, or have two the same rank? Can ${address} be reached? (${reason})`;
}

const isLate = (reason: string): boolean => /time(d)? ?out/i.test(reason);

/** Gloo connects the ranks to each other, which have found the store by then. */
function hasNoStore(reason: string): boolean {
  return /client socket has|connection refused/i.test(reason) && !/gloo/.test(reason);
}

function leaveAtExit(): void {
  try {
    native.leaveGroup();
  } catch {} // The process ends anyway.
}

/** Leaves the group; the other ranks notice when they next wait for this one. Without a group it does nothing. */
export function destroyProcessGroup(): void {
  if (current !== undefined && current.size > 1) {
    process.off("exit", leaveAtExit);
    native.leaveGroup();
  }
  current = undefined;
  broken = undefined;
}

/** The group of this process; none before {@link initProcessGroup}. */
export function processGroup(): ProcessGroup | undefined {
  return current;
}

/** What the addon can join groups by; empty where libtorch has no c10d. */
export function groupBackends(): string[] {
  return native.groupBackends.split(",").filter((name) => name !== "");
}

export type Reduction = "sum" | "min" | "max";

/**
 * Replaces tensors by their sum, minimum or maximum over all ranks, in place. All ranks must pass as many, of equal shapes and dtypes, in the
 * same order; so for every collective. On the CPU each value is the same to the bit on all ranks, and whenever it is computed anew.
 *
 * @throws GroupError as every collective: when a rank was lost or did not answer in time. The group is of no use then. TypeError for a sum of
 *   booleans
 */
export function allReduce(tensors: Tensor | readonly Tensor[], reduction: Reduction = "sum"): void {
  const all = listOf("allReduce", tensors);
  if (reduction === "sum" && all.some(({ dtype }) => dtype === "bool"))
    throw new TypeError(
      'allReduce cannot add up booleans: "max" says whether any rank has it, "min" whether all have; x.long() can be counted',
    );
  collective("allReduce", () => callOperator("group::all_reduce_", all, reduction));
}

/**
 * Replaces float32 tensors by their mean over all ranks, in place and in one message; for gradients, see {@link GradientBuckets}. It notices lists of
 * other sizes or memory layouts on other ranks.
 */
export function allReduceMean(tensors: Tensor | readonly Tensor[]): void {
  const all = listOf("allReduceMean", tensors);
  collective("allReduceMean", ({ size }) => callOperator("group::all_reduce_flat_", all, 1 / size));
}

/** Replaces tensors by those of rank `root`, in place. */
export function broadcast(tensors: Tensor | readonly Tensor[], root = 0): void {
  const all = listOf("broadcast", tensors);
  collective("broadcast", () => callOperator("group::broadcast_", all, root));
}

/** The tensors of all ranks, in their order. They must be of one shape and dtype. */
export function allGather(tensor: Tensor): Tensor[] {
  return collective(
    "allGather",
    () => callOperator("group::all_gather", tensor) as Tensor[],
    () => [tensor.clone()],
  );
}

/** Waits until all ranks have come here. */
export function barrier(): void {
  collective("barrier", () => callOperator("group::barrier"));
}

const listOf = (name: string, tensors: Tensor | readonly Tensor[]): readonly Tensor[] =>
  tensors instanceof Tensor ? [tensors] : tensorsOf(`${name}: the tensors`, tensors);

/** @internal Runs what all ranks do together, and says who it was whose group broke. */
export function collective<T>(name: string, together: (group: ProcessGroup) => T, alone?: () => T): T {
  if (current === undefined) throw new Error(`${name} needs a group of processes: call initProcessGroup() first`);
  if (current.size === 1) return alone?.() as T;
  const { rank, size, timeout } = current;
  if (broken !== undefined) throw new GroupError(`Rank ${rank} of ${size} cannot go on with the group: ${broken}`);
  try {
    return together(current);
  } catch (error) {
    const reason = ((error as Error).cause as Error | undefined)?.message.trim() ?? (error as Error).message;
    if (isWrongUse(reason)) throw error;
    broken = isLate(reason)
      ? `in ${name} no answer came within ${timeout} s: another rank hangs, or its machine is gone. (${reason})`
      : `in ${name} it lost another one, which says itself why it ended. (${reason})`;
    throw new GroupError(`Rank ${rank} of ${size} cannot go on: ${broken}`, { cause: error });
  }
}

/** What was refused before anything was sent. */
function isWrongUse(reason: string): boolean {
  return (
    /^(all_reduce_|all_reduce_flat_|broadcast_|all_gather|GradientBuckets)\b/.test(reason) ||
    /^Invalid scalar type|no overload fits|used after its release/.test(reason)
  );
}

/**
 * Tells all ranks something under a name, by the store of rank 0. Unlike a collective it waits for nobody. A name means one thing for the
 * life of the group.
 */
export function storeSet(name: string, text: string): void {
  collective("storeSet", () => native.storeSet(name, text));
}

/** What a rank has told under a name; nothing, if none has yet, or in a group of one. */
export function storeGet(name: string): string | undefined {
  return collective("storeGet", () => native.storeGet(name));
}
