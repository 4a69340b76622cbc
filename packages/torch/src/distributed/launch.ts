/** One process among those that a launcher started. */
export interface Launch {
  /** From 0 to `size − 1`. */
  readonly rank: number;
  readonly size: number;
  /** The same among the processes of this machine. */
  readonly localRank: number;
  readonly localSize: number;
  /** Where rank 0 listens, and all others find it. */
  readonly address: string;
  readonly port: number;
}

type Env = Readonly<Record<string, string | undefined>>;

/** PyTorch's. */
const USUAL_PORT = 29500;

/**
 * What the launcher says of this process, in the variables of torchrun (`RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `LOCAL_WORLD_SIZE`,
 * `MASTER_ADDR`, `MASTER_PORT`), which Kubernetes' operators set too, or in those of Slurm's `srun` with `MASTER_ADDR` beside them.
 *
 * @returns a group of one where no launcher is
 * @throws RangeError naming the variable that is missing or makes no sense
 */
export function launchOf(env: Env = process.env): Launch {
  const launch = env.WORLD_SIZE !== undefined || env.RANK !== undefined ? byTorchrun(env) : bySlurm(env);
  if (launch === undefined) return { rank: 0, size: 1, localRank: 0, localSize: 1, address: "", port: 0 };
  const { rank, size, localRank, localSize } = launch;
  if (rank >= size)
    throw new RangeError(`The launcher says that this is rank ${rank} of ${size}; ranks go from 0 to ${size - 1}.`);
  if (localRank >= localSize)
    throw new RangeError(
      `The launcher says that this is rank ${localRank} of ${localSize} on this machine; ranks go from 0 to ${localSize - 1}.`,
    );
  return { ...launch, address: size === 1 ? "" : addressOf(env, size), port: size === 1 ? 0 : storePort(env) };
}

type Place = Omit<Launch, "address" | "port">;

function byTorchrun(env: Env): Place {
  const rank = whole(env, "RANK", 0);
  const size = whole(env, "WORLD_SIZE", 1);
  const localRank = env.LOCAL_RANK === undefined ? 0 : whole(env, "LOCAL_RANK", 0);
  const localSize = env.LOCAL_WORLD_SIZE === undefined ? localRank + 1 : whole(env, "LOCAL_WORLD_SIZE", 1);
  return { rank, size, localRank, localSize };
}

/** A batch script has most of Slurm's variables, too, but is one process: only what `srun` started is a step. */
function bySlurm(env: Env): Place | undefined {
  if (env.SLURM_STEP_ID === undefined || env.SLURM_PROCID === undefined) return undefined;
  const size = whole(env, env.SLURM_STEP_NUM_TASKS === undefined ? "SLURM_NTASKS" : "SLURM_STEP_NUM_TASKS", 1);
  const localRank = whole(env, "SLURM_LOCALID", 0);
  // "4(x2),3": tasks of each node, of which this is not told which it is where they differ.
  const counts = /^(\d+)(\(x\d+\))?$/.exec(env.SLURM_STEP_TASKS_PER_NODE ?? env.SLURM_TASKS_PER_NODE ?? "");
  return { rank: whole(env, "SLURM_PROCID", 0), size, localRank, localSize: Number(counts?.[1] ?? localRank + 1) };
}

function addressOf(env: Env, size: number): string {
  const address = env.MASTER_ADDR;
  if (address !== undefined && address !== "") return address;
  throw new RangeError(
    `This is one of ${size} processes, but MASTER_ADDR does not say where rank 0 is. torchrun sets it; under Slurm: ` +
      'export MASTER_ADDR="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"',
  );
}

/**
 * Where rank 0 hosts the store that all find each other by. torchrun's agent serves a store of its own at `MASTER_PORT`, which speaks
 * another protocol in other versions of libtorch: so then ours is beside it, at a port of its own for each restart.
 */
function storePort(env: Env): number {
  const port = env.MASTER_PORT === undefined ? USUAL_PORT : whole(env, "MASTER_PORT", 1, 65_535);
  if (env.TORCHELASTIC_USE_AGENT_STORE !== "True") return port;
  const restarts = env.TORCHELASTIC_RESTART_COUNT === undefined ? 0 : whole(env, "TORCHELASTIC_RESTART_COUNT", 0);
  // Agents take a free port of those that systems hand out, up to the last.
  const own = port + 1 + restarts;
  return own <= 65_535 ? own : port - 1 - restarts;
}

function whole(env: Env, name: string, least: number, most = 1_000_000): number {
  const text = env[name];
  const value = Number(text);
  if (text !== undefined && /^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new RangeError(
    `${name} is ${text === undefined ? "not set" : `'${text}'`}; of several processes, each is told it: a whole number from ${least} to ${most}.`,
  );
}
