/* Trains the tiny trainer in the run folder that is named, from the compiled program, as a process that can be killed. */
import { existsSync } from "node:fs";
import { manualSeed, setNumThreads } from "@iqvae/torch";
import { parseConfig, presets } from "../../dist/config/index.js";
import { Loader } from "../../dist/data/loader.js";
import { lockRun } from "../../dist/run/lock.js";
import { train } from "../../dist/run/loop.js";
import { createRun, openRun } from "../../dist/run/run-folder.js";
import { Interrupt } from "../../dist/support/interrupt.js";
import { silent } from "../../dist/support/progress.js";
import { ROWS, TinyTrainer } from "./tiny-trainer.mjs";

const [path, steps = "120", pause = "1"] = process.argv.slice(2);
setNumThreads(1);
const config = { ...presets.tiny, logEvery: 3, evaluateEvery: 4, checkpointEvery: 2 };
const run = existsSync(`${path}/config.json`) ? openRun(path) : createRun(path, parseConfig(config, "test"));
const unlock = lockRun(path);
const interrupt = new Interrupt();
const trainer = new TinyTrainer();
manualSeed(5);
const progress = {
  ...silent,
  begin: () => process.stdout.write("training\n"),
  update: (step) => {
    process.stdout.write(`step ${step}\n`);
    // Gives kills time to hit a step.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(pause));
  },
};
const outcome = await train({
  run,
  stage: "stage1",
  trainer,
  loader: new Loader(ROWS, 3),
  steps: Number(steps),
  rows: 7,
  basis: {},
  progress,
  interrupt,
});
unlock();
interrupt.close();
process.stdout.write(`${outcome}\n`);
process.exitCode = interrupt.exitCode;
