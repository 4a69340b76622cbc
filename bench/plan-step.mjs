// Runs real steps of a stage on made-up data and prints what they took beside what `iqvae plan` says: by how many bytes the
// largest size of this process (VmHWM) grew, and seconds of wall clock and of the processor. A process is good for one
// measurement. Not part of `npm run bench`, since it has no peer:
//
//     node bench/plan-step.mjs --preset paper-ade20k --stage 1 --set stage1.batch=1
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { manualSeed, scope, setNumThreads, tuneProcess } from "@iqvae/torch";
import { loadConfig } from "../packages/iqvae/dist/config/index.js";
import { stage1Cost, stage2Cost } from "../packages/iqvae/dist/plan/cost.js";
import { stage1Trial, stage2Trial } from "../packages/iqvae/dist/plan/made-up.js";

const { values } = parseArgs({
  options: {
    preset: { type: "string", default: "start" },
    /** Other values of the preset, as for `iqvae plan`. */
    set: { type: "string", multiple: true, default: [] },
    stage: { type: "string", default: "1" },
    steps: { type: "string", default: "2" },
    threads: { type: "string", default: "2" },
  },
});
tuneProcess();
setNumThreads(Number(values.threads));
manualSeed(0);

const { stage1, stage2, ...others } = loadConfig(values.preset, values.set);
// So that every step is one that mixes samples in, if there are such.
const exposure = "every" in stage2.exposure ? { ...stage2.exposure, every: 1 } : stage2.exposure;
const config = { ...others, stage1, stage2: { ...stage2, exposure } };
const [cost, make, rows] =
  values.stage === "1"
    ? [stage1Cost(config), () => stage1Trial(config), stage1.batch]
    : [stage2Cost(config), () => stage2Trial(config), stage2.batch * stage2.accumulate];

const size = (name) =>
  1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))[1]);
const before = size("VmRSS");
const { trainer } = make();
for (let step = 0; step < Number(values.steps); step++) {
  const [begin, processor] = [performance.now(), process.cpuUsage()];
  scope(() => trainer.step(new Uint32Array(rows)));
  const { user, system } = process.cpuUsage(processor);
  const seconds = (performance.now() - begin) / 1000;
  console.log(JSON.stringify({ step, seconds, processorSeconds: (user + system) / 1e6 }));
}
const measured = size("VmHWM") - before;
const { parameters, operations, processBytes: estimated } = cost;
console.log(JSON.stringify({ parameters, TFLOP: operations / 1e12, measured, estimated, ratio: estimated / measured }));
