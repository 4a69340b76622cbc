import { getDefaultDevice, metaBytes, peakMetaBytes, scope, setDefaultDevice } from "@iqvae/torch";
import type { Config } from "../config/index.ts";
import { stage1Trial, stage2Trial, type Trial } from "./made-up.ts";
import { countOperations } from "./operations.ts";

/**
 * What the heap takes beyond what a step asks of it: blocks of many sizes come and go, and gaps between them stay. Measured, see
 * docs/performance.md.
 */
const HEAP = 1.35;

/** What a step of a stage costs. */
export interface StepCost {
  /** Trained values. */
  readonly parameters: number;
  /** Of products and convolutions, two for each multiplication with its addition; forward and backward. */
  readonly operations: number;
  /** Bytes of weights, moments of optimizers, averages and networks that are not trained: there all the time. */
  readonly lastingBytes: number;
  /** Bytes of all tensors at the worst moment of the step, the lasting ones among them. */
  readonly peakBytes: number;
  /** What a process on a CPU is likely to grow by. */
  readonly processBytes: number;
}

/** A step of stage 1 that the discriminator has joined, before k-means has placed the codes. */
export function stage1Cost(config: Config): StepCost {
  return costOf(() => stage1Trial(config), config.stage1.batch);
}

/** A step of stage 2. Where only every n-th mixes samples in, operations are a mean over steps, and memory is that of those. */
export function stage2Cost(config: Config): StepCost {
  const { exposure, batch, accumulate } = config.stage2;
  const cost = (exposure: Config["stage2"]["exposure"]) =>
    costOf(() => stage2Trial({ ...config, stage2: { ...config.stage2, exposure } }), batch * accumulate);
  if (!("every" in exposure)) return cost(exposure);
  const [plain, mixing] = [cost({ kind: "teacher" }), cost({ ...exposure, every: 1 })];
  return { ...mixing, operations: plain.operations + (mixing.operations - plain.operations) / exposure.every };
}

/** Runs one real step where tensors have shapes, and neither values nor memory. */
function costOf(make: () => Trial, rows: number): StepCost {
  const before = getDefaultDevice();
  setDefaultDevice("meta");
  try {
    const bytesBefore = metaBytes();
    const { trainer, dispose } = make();
    const lastingBytes = metaBytes() - bytesBefore;
    let peakBytes = 0;
    const { forward, backward } = countOperations(() => {
      const { peak } = peakMetaBytes(() => scope(() => trainer.step(new Uint32Array(rows))));
      peakBytes = peak - bytesBefore;
    });
    // What is trained has a first moment.
    const trained = [...trainer.tensors()].filter(([name]) => name.endsWith(".first"));
    const parameters = trained.reduce((sum, [, each]) => sum + each.numel(), 0);
    dispose();
    const processBytes = lastingBytes + HEAP * (peakBytes - lastingBytes);
    return { parameters, operations: forward + backward, lastingBytes, peakBytes, processBytes };
  } finally {
    setDefaultDevice(before);
  }
}
