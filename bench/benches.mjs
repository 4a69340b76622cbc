import { existsSync } from "node:fs";
import { fastPrecision } from "../packages/iqvae/dist/support/precision.js";
import { blasFolder, locateLibtorch } from "../packages/torch/scripts/locate-libtorch.mjs";

const blas = blasFolder(locateLibtorch().libDirs[0]);

/** The allocator and the BLAS that ours runs on, for a peer that knows of them. */
const TUNED = {
  ...(blas && existsSync(blas) ? { LD_LIBRARY_PATH: blas } : {}),
  MALLOC_MMAP_THRESHOLD_: String(2 ** 30),
  MALLOC_TRIM_THRESHOLD_: String(2 ** 30),
  MALLOC_TOP_PAD_: String(2 ** 26),
};
/** What a peer may be tuned to. bfloat16 is left out where it is emulated: it takes thirty times as long there. */
const PRECISIONS = fastPrecision() === "bfloat16" ? ["float32", "bfloat16"] : ["float32"];
const LAYOUTS = ["contiguous_format", "channels_last"];

/**
 * @typedef {object} Command
 * @property {string} script below `bench`; `.py` runs in Python
 * @property {string[]} [flags]
 * @property {Record<string, string>} [env]
 * @property {boolean} [current] runs on the current PyTorch 2.x that `PYTHON2X` names, or not at all
 * @property {boolean} [busy] beside another process that keeps one core busy
 */

/**
 * @typedef {object} Bench
 * @property {string} name
 * @property {string} peer what the peer is, for people
 * @property {string} metric the field of the scripts' JSON lines that counts
 * @property {string} unit
 * @property {"more" | "less"} better
 * @property {number} [least] the ratio that we promise; the figure itself where there is no peer
 * @property {number} [aim]
 * @property {Command} ours
 * @property {readonly Command[]} theirs the best of them counts
 */

const stage1 = {
  ours: { script: "stage1-step.mjs" },
  asUsersRunIt: { script: "peers/stage1_step.py" },
  tuned: tuned("peers/stage1_step.py", { layout: LAYOUTS, precision: PRECISIONS }),
};
const stage2 = {
  ours: { script: "stage2-step.mjs" },
  asUsersRunIt: { script: "peers/stage2_step.py", flags: ["--mode", "default"] },
  tuned: tuned("peers/stage2_step.py", { mode: ["tuned"], precision: PRECISIONS }),
};
const sampling = {
  ours: { script: "sample.mjs", flags: ["--precision", fastPrecision()] },
  exact: { script: "sample.mjs" },
  cached: tuned("peers/sample.py", { mode: ["cached"], precision: PRECISIONS, threads: ["1", "2"] }),
  cachedOnOne: tuned("peers/sample.py", { mode: ["cached"], precision: PRECISIONS, threads: ["1"] }),
};

/** One command serves both stages. */
const processes = {
  alone: { script: "processes.mjs" },
  busy: { script: "processes.mjs", busy: true },
};

const DEFAULT = "PyTorch, float32, default allocator";
const BEST = `PyTorch with either allocator and BLAS${PRECISIONS.length > 1 ? ", in either precision" : ""}`;

/** @type {readonly Bench[]} */
export const BENCHES = [
  {
    name: "op-overhead",
    peer: "CPython's torch.mul",
    metric: "microseconds",
    unit: "µs",
    better: "less",
    least: 1,
    aim: 1.3,
    ours: { script: "op-overhead.mjs" },
    theirs: [{ script: "peers/op_overhead.py" }],
  },
  {
    name: "characters",
    peer: "PyTorch as its users write it, with either AdamW, allocator and BLAS",
    metric: "steps/s",
    unit: "steps/s",
    better: "more",
    least: 1,
    aim: 1.5,
    ours: { script: "characters.mjs" },
    theirs: [[], ["--foreach"]].flatMap((flags) =>
      [{}, TUNED].map((env) => ({ script: "peers/characters.py", flags, env })),
    ),
  },
  ...step("stage1-step", "images/s", stage1, { least: 1.3, aim: 1.6 }, { least: 2.5, aim: 3.5 }, " and either layout"),
  ...step("stage2-step", "tokens/s", stage2, { least: 1.3, aim: 2 }, { least: 1.3, aim: 2 }),
  ...[
    { stage: "1", least: 0.45, aim: 0.6 },
    { stage: "2", least: 0.55, aim: 0.75 },
  ].map(({ stage, ...promised }) => ({
    name: `utilization-${stage}`,
    peer: "of the fastest matrix product",
    metric: "share",
    unit: "",
    better: "more",
    ...promised,
    ours: { script: "utilization.mjs", flags: ["--stage", stage] },
    theirs: [],
  })),
  {
    name: "sample",
    peer: "PyTorch without a cache",
    metric: "tokens/s",
    unit: "tokens/s",
    better: "more",
    least: 10,
    aim: 25,
    ours: sampling.ours,
    theirs: [{ script: "peers/sample.py", flags: ["--mode", "uncached", "--repeats", "1"] }],
  },
  {
    name: "sample-cached",
    peer: `${BEST} and on one thread or two`,
    metric: "tokens/s",
    unit: "tokens/s",
    better: "more",
    least: 2,
    aim: 4,
    ours: sampling.ours,
    theirs: sampling.cached,
  },
  {
    name: "sample-cached-float32",
    peer: `${BEST}; ours in float32, as images of a seed are drawn`,
    metric: "tokens/s",
    unit: "tokens/s",
    better: "more",
    ours: sampling.exact,
    theirs: sampling.cached,
  },
  {
    name: "sample-cached-busy",
    peer: "the same on one thread, both beside a busy process",
    metric: "tokens/s",
    unit: "tokens/s",
    better: "more",
    least: 1.5,
    aim: 3,
    ours: { ...sampling.ours, busy: true },
    // The peer on two threads is not waited for: it was not done after four minutes with what takes one of them 50 seconds.
    theirs: sampling.cachedOnOne.map((command) => ({ ...command, busy: true })),
  },
  {
    name: "sample-cached-2x",
    peer: "PyTorch 2.x",
    metric: "tokens/s",
    unit: "tokens/s",
    better: "more",
    ours: sampling.ours,
    theirs: sampling.cached.map((command) => ({ ...command, current: true })),
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
    peer: `${BEST} and either layout`,
    metric: "peakMiB",
    unit: "MiB",
    better: "less",
    least: 1,
    aim: 1.3,
    ours: stage1.ours,
    theirs: stage1.tuned,
  },
  {
    name: "gw-sliced",
    peer: "PyTorch, vectorized over directions",
    metric: "seconds",
    unit: "s",
    better: "less",
    least: 1,
    aim: 2,
    ours: { script: "gw-sliced.mjs" },
    theirs: [{ script: "peers/gw_sliced.py" }],
  },
  {
    name: "all-reduce",
    peer: "PyTorch's own, by Gloo",
    metric: "milliseconds",
    unit: "ms",
    better: "less",
    least: 1,
    ours: { script: "all-reduce.mjs" },
    theirs: [{ script: "peers/all_reduce.py" }],
  },
  {
    name: "group-step",
    peer: "of a step that shares nothing",
    metric: "kept",
    unit: "",
    better: "more",
    least: 0.96,
    ours: { script: "group-step.mjs" },
    theirs: [],
  },
  ...[
    { name: "processes-1", metric: "stage1Gain", least: 1 },
    { name: "processes-2", metric: "stage2Gain", least: 1.1 },
    { name: "processes-1-busy", metric: "stage1Gain", least: 2, busy: true },
    { name: "processes-2-busy", metric: "stage2Gain", least: 2, busy: true },
  ].map(({ name, metric, least, busy = false }) => ({
    name,
    peer: `of one process of all threads${busy ? ", both beside a busy process" : ""}`,
    metric,
    unit: "",
    better: "more",
    least,
    ours: busy ? processes.busy : processes.alone,
    theirs: [],
  })),
];

/** A training step against PyTorch as users run it, at its best, and against a current one, eager and compiled. */
function step(name, metric, { ours, asUsersRunIt, tuned }, inFloat32, inBfloat16, more = "") {
  const common = { metric, unit: metric, better: "more", ours };
  const current = tuned.map((command) => ({ ...command, current: true }));
  const compiled = current.map((command) => ({ ...command, flags: [...command.flags, "--compile"] }));
  const promised = fastPrecision() === "bfloat16" ? inBfloat16 : inFloat32;
  return [
    { ...common, name, peer: DEFAULT, ...promised, theirs: [asUsersRunIt] },
    { ...common, name: `${name}-tuned`, peer: `${BEST}${more}`, least: 1.05, aim: 1.3, theirs: tuned },
    { ...common, name: `${name}-2x`, peer: "the same, PyTorch 2.x", theirs: current },
    { ...common, name: `${name}-2x-compiled`, peer: "the same, PyTorch 2.x, compiled", theirs: compiled },
  ];
}

/** A peer in every combination of the choices, as it comes and with our allocator and BLAS. */
function tuned(script, choices) {
  const combinations = Object.entries(choices).reduce(
    (all, [flag, options]) => all.flatMap((flags) => options.map((option) => [...flags, `--${flag}`, option])),
    [[]],
  );
  return combinations.flatMap((flags) => [{}, TUNED].map((env) => ({ script, flags, env })));
}
