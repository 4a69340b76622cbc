// Runs real steps of a stage on made-up data and prints what they took beside what `iqvae plan` says: by how many bytes the
// largest size of this process (VmHWM) grew, and seconds of wall clock and of the processor. A process is good for one
// measurement. Not part of `npm run bench`, since it has no peer:
//
//     node bench/plan-step.mjs --preset paper-ade20k --stage 1 --batch 1
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { manualSeed, setThreads } from "@iqvae/torch";
import { loadConfig } from "../packages/iqvae/dist/config/index.js";
import { PAPER_PRESETS } from "../packages/iqvae/dist/config/paper.js";
import { stage1Cost, stage2Cost } from "../packages/iqvae/dist/plan/cost.js";
import { plannedOf, plannedTokens } from "../packages/iqvae/dist/plan/planned.js";
import { stage1Trial, stage2Trial } from "../packages/iqvae/dist/plan/trial.js";

const { values } = parseArgs({
  options: {
    preset: { type: "string", default: "paper-ade20k" },
    /** Other values of the plan, as JSON: --with '{"perceptual":null}' */
    with: { type: "string", default: "{}" },
    stage: { type: "string", default: "1" },
    batch: { type: "string", default: "1" },
    steps: { type: "string", default: "2" },
    threads: { type: "string", default: "2" },
  },
});
const [batch, steps] = [values.batch, values.steps].map(Number);
setThreads(Number(values.threads));
manualSeed(0);

const preset = PAPER_PRESETS[values.preset] ?? plannedOf(loadConfig(values.preset));
// Second passes of Gumbel sampling are none of a trial's.
const planned = { ...preset, exposure: { kind: "teacher" }, ...JSON.parse(values.with) };
const { transformer, precision } = planned;
const [cost, make] =
  values.stage === "1"
    ? [stage1Cost(planned, batch), () => stage1Trial(planned, batch)]
    : [stage2Cost(planned, batch, 1), () => stage2Trial(transformer, plannedTokens(planned), precision, batch)];
// A trial keeps no averaged weights.
const estimated = cost.memory.peak - (values.stage === "2" ? 4 * cost.parameters : 0);

const size = (name) =>
  1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))[1]);
const before = size("VmRSS");
const trial = make();
for (let step = 0; step < steps; step++) {
  const [begin, processor] = [performance.now(), process.cpuUsage()];
  trial.pass();
  trial.update();
  const { user, system } = process.cpuUsage(processor);
  const seconds = (performance.now() - begin) / 1000;
  console.log(JSON.stringify({ step, seconds, processorSeconds: (user + system) / 1e6 }));
}
const measured = size("VmHWM") - before;
const { parameters, operations } = cost;
console.log(JSON.stringify({ parameters, TFLOP: operations / 1e12, measured, estimated, ratio: estimated / measured }));
