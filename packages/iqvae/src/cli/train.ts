import { existsSync } from "node:fs";
import { setDefaultDevice } from "@iqvae/torch";
import { Command } from "commander";
import { loadConfig, PRESET_NAMES } from "../config/index.ts";
import { expectSameConfig } from "../run/basis.ts";
import { createRun, expectCreatable, freeRunPath, openRun, RUNS, type RunFolder } from "../run/run-folder.ts";
import { statusOf } from "../run/status.ts";
import { expectData, expectShares } from "../run/train-run.ts";
import { kernelLibrary } from "../support/kernels.ts";
import type { Progress } from "../support/progress.ts";
import { onFirst } from "../support/share.ts";
import { type Asked, chooseProcesses } from "./choose-processes.ts";
import { consoleProgress } from "./console.ts";
import { argumentsForEach, isLaunched, runLocally, startsOthers } from "./local-processes.ts";
import { collect, DEVICE, device, optionsOf, processesOption, THREADS, threads } from "./options.ts";
import { joinPeers, openTogether, voiceOf } from "./team.ts";
import { orDiscard, trainAttended } from "./training.ts";

interface TrainOptions {
  readonly name?: string;
  readonly set?: string[];
  readonly threads?: number;
  readonly device: string;
  readonly processes?: number;
}

export function trainCommand(): Command {
  return new Command("train")
    .description("train a preset or a configuration in a new run folder")
    .argument("<preset|config>", `one of ${PRESET_NAMES.join(", ")}, or a JSON file`)
    .option("--name <name>", "name of the run folder in runs/ (default: that of the configuration)")
    .option("--set <key=value>", "another value, e.g. stage1.steps=200; may be repeated", collect(String))
    .option(...THREADS, threads)
    .option(...DEVICE, device, "cpu")
    .option(...processesOption("1, or one per core where a long training on CPUs gains by it"), threads)
    .action(async (source: string, _: unknown, command: Command) => {
      const { name, set, threads, device, processes, json } = optionsOf<TrainOptions>(command);
      kernelLibrary(); // Before there is a folder.
      const load = () =>
        loadConfig(source, [...(set ?? []), ...(name === undefined ? [] : [`name=${JSON.stringify(name)}`])]);
      const named = name === undefined ? undefined : `${RUNS}/${name}`;
      const choose = async () => {
        const config = load();
        expectCreatable(named ?? freeRunPath(config.name), config);
        return await chooseProcesses(config, { device, processes, threads }, speaker, { prepare: expectData });
      };
      const speaker = consoleProgress({ json });
      // Of several, one complains, and only the first needs to have the file.
      const count = isLaunched() ? processes : await choose();
      if (startsOthers(count)) return await runLocally(count, argumentsForEach());
      setDefaultDevice(device);
      const peers = joinPeers(device, threads);
      const progress = voiceOf(peers, speaker);
      const run = await openTogether(peers, () => {
        if (named !== undefined && wasRestarted() && existsSync(named)) return openRun(named);
        const config = load();
        expectShares(peers, config); // Before there is a folder.
        return createRun(named ?? freeRunPath(config.name), config);
      });
      const together = peers === undefined ? "" : `, in ${peers.size} processes`;
      progress.tell(`Training ${run.config.name} in ${run.path}${together}`, { event: "run", path: run.path });
      if (await orDiscard(run, peers, () => trainAttended(run, progress, { threads, peers }))) {
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
    .option(...processesOption("as many as before"), threads)
    .action(async (path: string, _: unknown, command: Command) => {
      const { threads, device, processes, json } = optionsOf<TrainOptions>(command);
      const speaker = consoleProgress({ json });
      const asked = { device, processes, threads };
      const count = isLaunched() ? processes : await processesOf(openRun(path), asked, speaker);
      if (startsOthers(count)) return await runLocally(count, argumentsForEach());
      setDefaultDevice(device);
      const peers = joinPeers(device, threads);
      const progress = voiceOf(peers, speaker);
      const run = await openTogether(peers, () => openRun(path));
      const { stage, step, steps, finished } = await onFirst(peers, () => {
        expectSameConfig(run);
        return statusOf(run);
      });
      if (finished) {
        const text = `${run.path} is finished. Look at ${run.report}; draw images: npx iqvae sample ${run.path}`;
        progress.tell(text, { event: "finished", run: run.path, report: run.report });
        return;
      }
      const text = `Going on with ${run.path} from step ${step} of ${steps} of ${stage}`;
      progress.tell(text, { event: "run", path: run.path, stage, step, steps });
      if (await trainAttended(run, progress, { threads, peers })) {
        const done = `Finished. Look at ${run.report}; draw images: npx iqvae sample ${run.path}`;
        progress.tell(done, { event: "finished", run: run.path, report: run.report });
      }
    });
}

/** In how many processes a run goes on. */
async function processesOf(run: RunFolder, asked: Asked, progress: Progress): Promise<number | undefined> {
  expectSameConfig(run);
  return statusOf(run).finished ? 1 : await chooseProcesses(run.config, asked, progress, { run, prepare: expectData });
}

/** Whether torchrun has started this process anew, after one was lost: then the run is there, and it goes on. */
function wasRestarted(): boolean {
  return Number(process.env.TORCHELASTIC_RESTART_COUNT ?? 0) > 0;
}
