import { setDefaultDevice } from "@iqvae/torch";
import { Command } from "commander";
import { loadConfig, PRESET_NAMES } from "../config/index.ts";
import { expectSameConfig } from "../run/basis.ts";
import { createRun, freeRunPath, openRun, RUNS } from "../run/run-folder.ts";
import { statusOf } from "../run/status.ts";
import { consoleProgress } from "./console.ts";
import { collect, DEVICE, device, optionsOf, THREADS, threads } from "./options.ts";
import { trainAttended } from "./training.ts";

interface TrainOptions {
  readonly name?: string;
  readonly set?: string[];
  readonly threads?: number;
  readonly device: string;
}

export function trainCommand(): Command {
  return new Command("train")
    .description("train a preset or a configuration in a new run folder")
    .argument("<preset|config>", `one of ${PRESET_NAMES.join(", ")}, or a JSON file`)
    .option("--name <name>", "name of the run folder in runs/ (default: that of the configuration)")
    .option("--set <key=value>", "another value, e.g. stage1.steps=200; may be repeated", collect(String))
    .option(...THREADS, threads)
    .option(...DEVICE, device, "cpu")
    .action(async (source: string, _: unknown, command: Command) => {
      const { name, set, threads, device, json } = optionsOf<TrainOptions>(command);
      setDefaultDevice(device);
      const progress = consoleProgress({ json });
      const config = loadConfig(source, [
        ...(set ?? []),
        ...(name === undefined ? [] : [`name=${JSON.stringify(name)}`]),
      ]);
      const run = createRun(name === undefined ? freeRunPath(config.name) : `${RUNS}/${name}`, config);
      progress.tell(`Training ${config.name} in ${run.path}`, { event: "run", path: run.path });
      if (await trainAttended(run, progress, { threads })) {
        const text = `Finished. Look at ${run.report}; draw images: npx iqvae sample ${run.path}`;
        progress.tell(text, { event: "finished", run: run.path, report: run.report });
      }
    });
}

export function resumeCommand(): Command {
  return new Command("resume")
    .description("go on with a run that was interrupted, as if it had not been")
    .argument("<run>", "a run folder, or its name in runs/")
    .option(...THREADS, threads)
    .option(...DEVICE, device, "cpu")
    .action(async (path: string, _: unknown, command: Command) => {
      const { threads, device, json } = optionsOf<TrainOptions>(command);
      setDefaultDevice(device);
      const progress = consoleProgress({ json });
      const run = openRun(path);
      expectSameConfig(run);
      const { stage, step, steps, finished } = statusOf(run);
      if (finished) {
        const text = `${run.path} is finished. Look at ${run.report}; draw images: npx iqvae sample ${run.path}`;
        progress.tell(text, { event: "finished", run: run.path, report: run.report });
        return;
      }
      const text = `Going on with ${run.path} from step ${step} of ${steps} of ${stage}`;
      progress.tell(text, { event: "run", path: run.path, stage, step, steps });
      if (await trainAttended(run, progress, { threads })) {
        const done = `Finished. Look at ${run.report}; draw images: npx iqvae sample ${run.path}`;
        progress.tell(done, { event: "finished", run: run.path, report: run.report });
      }
    });
}
