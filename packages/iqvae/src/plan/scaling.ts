/** Bus bandwidths of H100s as others have measured them, see docs/scale.md: within a node, and over 8 × 400 Gb/s between nodes. */
const NODE = { gpus: 8, bandwidth: 430e9 };
const NETWORK_BANDWIDTH = 320e9;
/** Each doubling of the number makes a ring or tree longer [assumed]. */
const LATENCY_A_DOUBLING = 35e-6;
/** The slowest of a group sets the pace: a share of the step for each doubling [assumed]. */
const STRAGGLING_A_DOUBLING = 0.004;
/** Of a pass, the way back, during which gradients become known. */
const BACKWARD_SHARE = 2 / 3;
/** Gradients that wait for each other before they are sent, in `GradientBuckets`; the last such part can hide behind nothing. */
const BUCKET_BYTES = 25 * 2 ** 20;
const FLOAT_BYTES = 4;

/** What a training of a number of GPUs is expected to take, each with the batch that one GPU has alone. */
export interface Scaling {
  readonly gpus: number;
  /** Seconds of the reduction of all gradients. */
  readonly allReduce: number;
  /** Pairs or sequences a second, as a share of `gpus` times those of one: the reduction travels behind the way back, as it is built. */
  readonly efficiency: number;
  /** The same, where nothing hides: one reduction after the way back. */
  readonly flat: number;
}

/**
 * Weak scaling of data-parallel training: a step of one GPU, a ring all-reduce of `4 · parameters` bytes, latency and straggling. A model,
 * and no measurement.
 *
 * @param stage trained values, the seconds of a step of one GPU, and its passes: gradients are known for good in the last one only
 * @param bandwidth of the bus in bytes a second, as nccl-tests' `busbw`; default: H100s' in a node up to 8, and between nodes above
 */
export function scaling(
  { parameters, h100: step, passes }: { readonly parameters: number; readonly h100: number; readonly passes: number },
  gpus: number,
  bandwidth: number = gpus <= NODE.gpus ? NODE.bandwidth : NETWORK_BANDWIDTH,
): Scaling {
  const doublings = Math.log2(gpus);
  const moved = (bytes: number) => ((2 * (gpus - 1)) / gpus) * (bytes / bandwidth);
  const bytes = FLOAT_BYTES * parameters;
  const latency = LATENCY_A_DOUBLING * doublings;
  const allReduce = moved(bytes) + latency;
  const straggling = STRAGGLING_A_DOUBLING * doublings * step;
  const last = moved(Math.min(bytes, BUCKET_BYTES)) + latency;
  const exposed = Math.max(last, allReduce - (BACKWARD_SHARE * step) / passes);
  const share = (waits: number) => step / (step + waits + straggling);
  return { gpus, allReduce, efficiency: share(gpus === 1 ? 0 : exposed), flat: share(allReduce) };
}

/** Bytes that several processes need at most beside those of one: the buckets of all gradients, which stay from step to step. */
export function reductionBytes({ parameters }: { readonly parameters: number }): number {
  return FLOAT_BYTES * parameters;
}
