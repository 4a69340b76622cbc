/** The allocator as our addon sets it at load, for a peer that knows of it. */
const TUNED = {
  MALLOC_MMAP_THRESHOLD_: String(2 ** 30),
  MALLOC_TRIM_THRESHOLD_: String(2 ** 30),
  MALLOC_TOP_PAD_: String(2 ** 26),
};

/**
 * @typedef {object} Command
 * @property {string} script below `bench`; `.py` runs in Python
 * @property {string[]} [flags]
 * @property {Record<string, string>} [env]
 */

/**
 * @typedef {object} Bench
 * @property {string} name
 * @property {string} peer what the peer is, for people
 * @property {string} metric the field of the scripts' JSON lines that counts
 * @property {string} unit
 * @property {"more" | "less"} better
 * @property {number} least the ratio that we promise
 * @property {number} aim
 * @property {Command} ours
 * @property {readonly Command[]} theirs the best of them counts
 */

const stage1 = {
  ours: { script: "stage1-step.mjs" },
  asUsersRunIt: { script: "peers/stage1_step.py", flags: ["--mode", "default"] },
  tuned: { script: "peers/stage1_step.py", flags: ["--mode", "tuned"], env: TUNED },
};
const stage2 = {
  ours: { script: "stage2-step.mjs" },
  asUsersRunIt: { script: "peers/stage2_step.py", flags: ["--mode", "default"] },
  tuned: { script: "peers/stage2_step.py", flags: ["--mode", "tuned"], env: TUNED },
};
const sampling = { script: "sample.mjs" };
const DEFAULT = "PyTorch, float32, default allocator";
const BEST = "PyTorch, bfloat16, tuned allocator";

/** @type {readonly Bench[]} */
export const BENCHES = [
  {
    name: "op-overhead",
    peer: "CPython's torch.mul",
    metric: "microseconds",
    unit: "µs",
    better: "less",
    least: 0.8,
    aim: 1.2,
    ours: { script: "op-overhead.mjs" },
    theirs: [{ script: "peers/op_overhead.py" }],
  },
  {
    name: "stage1-step",
    peer: DEFAULT,
    metric: "images/s",
    unit: "images/s",
    better: "more",
    least: 2,
    aim: 3.5,
    ours: stage1.ours,
    theirs: [stage1.asUsersRunIt],
  },
  {
    name: "stage1-step-tuned",
    peer: `${BEST}, channels_last`,
    metric: "images/s",
    unit: "images/s",
    better: "more",
    least: 1,
    aim: 1.2,
    ours: stage1.ours,
    theirs: [stage1.tuned],
  },
  {
    name: "stage2-step",
    peer: DEFAULT,
    metric: "tokens/s",
    unit: "tokens/s",
    better: "more",
    least: 2,
    aim: 3.5,
    ours: stage2.ours,
    theirs: [stage2.asUsersRunIt],
  },
  {
    name: "stage2-step-tuned",
    peer: BEST,
    metric: "tokens/s",
    unit: "tokens/s",
    better: "more",
    least: 1,
    aim: 1.2,
    ours: stage2.ours,
    theirs: [stage2.tuned],
  },
  {
    name: "sample",
    peer: "PyTorch without a cache",
    metric: "tokens/s",
    unit: "tokens/s",
    better: "more",
    least: 10,
    aim: 25,
    ours: sampling,
    theirs: [{ script: "peers/sample.py", flags: ["--mode", "uncached", "--repeats", "1"] }],
  },
  {
    name: "sample-cached",
    peer: "PyTorch with a key-value cache, tuned allocator, the faster of both precisions",
    metric: "tokens/s",
    unit: "tokens/s",
    better: "more",
    least: 1,
    aim: 1.3,
    ours: sampling,
    theirs: ["float32", "bfloat16"].map((precision) => ({
      script: "peers/sample.py",
      flags: ["--mode", "cached", "--precision", precision],
      env: TUNED,
    })),
  },
  {
    name: "peak-memory",
    peer: DEFAULT,
    metric: "peakMiB",
    unit: "MiB",
    better: "less",
    least: 1,
    aim: 1.3,
    ours: stage1.ours,
    theirs: [stage1.asUsersRunIt],
  },
  {
    name: "peak-memory-tuned",
    peer: `${BEST}, channels_last`,
    metric: "peakMiB",
    unit: "MiB",
    better: "less",
    least: 1,
    aim: 1.3,
    ours: stage1.ours,
    theirs: [stage1.tuned],
  },
  {
    name: "gw-sliced",
    peer: "PyTorch, vectorised over directions",
    metric: "seconds",
    unit: "s",
    better: "less",
    least: 1,
    aim: 2,
    ours: { script: "gw-sliced.mjs" },
    theirs: [{ script: "peers/gw_sliced.py" }],
  },
];
