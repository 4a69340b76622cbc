import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setDefaultDevice, setNumThreads } from "@iqvae/torch";
import { Command, InvalidArgumentError, Option } from "commander";
import type { Config } from "../config/index.ts";
import { SCORED_PARTS, type ScoredPart } from "../data/index.ts";
import { runAblation } from "../reproduce/ablation.ts";
import { ARM_NAMES, type ArmName, armsOf, COMPARISON_NAMES, type ComparisonName } from "../reproduce/arms.ts";
import { startChild } from "../reproduce/child.ts";
import { REGIME_NAMES, type RegimeName, TASK_NAMES, type TaskName } from "../reproduce/tasks.ts";
import type { TrainingOptions } from "../reproduce/train-runs.ts";
import { openRun, RUNS, type RunFolder } from "../run/run-folder.ts";
import { Interrupt } from "../support/interrupt.ts";
import type { Progress } from "../support/progress.ts";
import { chooseProcesses, timeApart } from "./choose-processes.ts";
import { consoleProgress } from "./console.ts";
import { collect, DEVICE, device, oneOf, optionsOf, PART, THREADS, threads, whole } from "./options.ts";

interface AblationOptions {
  readonly task: TaskName;
  readonly regime: RegimeName;
  readonly seeds: readonly number[];
  readonly arms: readonly ArmName[];
  readonly steps1?: number;
  readonly steps2?: number;
  readonly set?: string[];
  readonly out?: string;
  readonly jobs: number;
  readonly threads?: number;
  readonly device: string;
  readonly part: ScoredPart;
  readonly scores: boolean;
  readonly train: boolean;
}

export function reproduceCommand(): Command {
  return new Command("reproduce").description("put the paper's claims to the test").addCommand(ablationCommand());
}

function ablationCommand(): Command {
  return new Command("ablation")
    .description("train all variants of the method at equal budgets and seeds, and compare them")
    .requiredOption("--task <name>", `required, one of ${TASK_NAMES.join(", ")}`, oneOf(TASK_NAMES))
    .option(
      "--regime <name>",
      `sizes and steps of all runs, one of ${REGIME_NAMES.join(", ")}`,
      oneOf(REGIME_NAMES),
      "core",
    )
    .addOption(listOption("--seeds <list>", "whole numbers, separated by commas", seeds, [1, 2, 3]))
    .addOption(
      listOption("--arms <list>", `of ${[...COMPARISON_NAMES, ...ARM_NAMES].join(", ")}`, arms, armsOf(["main"])),
    )
    .option("--steps1 <steps>", "steps of stage 1", whole(1))
    .option("--steps2 <steps>", "steps of stage 2", whole(1))
    .option("--set <key=value>", "another value for all runs; may be repeated", collect(String))
    .option("--out <folder>", `where the runs lie (default: ${RUNS}/ablation-TASK-REGIME)`)
    .option("--jobs <count>", "runs that train at a time", threads, Math.min(2, availableParallelism()))
    .option(THREADS[0], "threads of each (default: the cores, shared among them)", threads)
    .option(DEVICE[0], `what the runs train on, and are scored on: ${DEVICE[1]}`, device, "cpu")
    .option(...PART, oneOf(SCORED_PARTS), "report")
    .option("--no-train", "only score what is trained, and write the tables; another process may train meanwhile")
    .option("--no-scores", "do not measure samples: what the runs' logs say is enough")
    .action(async (_: unknown, command: Command) => {
      const options = optionsOf<AblationOptions>(command);
      const { task, regime, seeds, arms, steps1, steps2, set, jobs, train } = options;
      const progress = consoleProgress(options);
      const out = options.out ?? join(RUNS, `ablation-${task}-${regime}`);
      const plan = { task, seeds, arms, budget: { regime, steps1, steps2, set }, out };
      const threads = options.threads ?? Math.max(1, Math.floor(availableParallelism() / jobs));
      // Runs are scored here, in the place of one that trains.
      setNumThreads(threads);
      setDefaultDevice(options.device);
      const interrupt = new Interrupt((signal) => {
        progress.tell("Stopping after the present steps, then saving.", { event: "stopping", signal });
      });
      try {
        const choose = processChooser(options, threads, progress);
        const start: TrainingOptions["start"] = async (path, onEvent) => {
          const processes = await choose(openRun(path));
          const args = ["resume", path, "--device", options.device, "--processes", String(processes)];
          return startChild(args, Math.max(1, Math.floor(threads / processes)), onEvent);
        };
        const part = options.scores ? options.part : null;
        const outcome = await runAblation(plan, { jobs, progress, interrupt, start, part, train });
        if (outcome === "interrupted") {
          const text = `Saved in ${plan.out}. The same command goes on.`;
          progress.tell(text, { event: "interrupted", out: plan.out });
          process.exitCode = interrupt.exitCode;
          return;
        }
        const { files, failed } = outcome;
        progress.tell(`Finished. Report: ${files.report}; table: ${files.markdown}`, { event: "finished", ...files });
        if (failed.length > 0) process.exitCode = 1;
      } finally {
        interrupt.close();
      }
    });
}

/** How many processes a run trains in; measured once for all, which are of equal sizes. */
function processChooser({ device, threads }: AblationOptions, cores: number, progress: Progress) {
  const times = new Map<number, ReturnType<typeof timeApart>>();
  const time = (config: Config, processes: number, _: number, stop: AbortSignal) => {
    const known = times.get(processes) ?? timeApart(config, processes, cores, stop);
    times.set(processes, known);
    return known;
  };
  return (run: RunFolder) => chooseProcesses(run.config, { device, threads }, progress, { run, cores, time });
}

/** Its default is shown as it would be given. */
function listOption<T>(flags: string, description: string, parse: (text: string) => T[], usual: T[]): Option {
  return new Option(flags, description).argParser(parse).default(usual, usual.join(","));
}

function seeds(text: string): number[] {
  try {
    return listOf(whole(0))(text);
  } catch {
    throw new InvalidArgumentError("Expected whole numbers of at least 0, separated by commas.");
  }
}

function listOf<T>(parse: (text: string) => T): (text: string) => T[] {
  return (text) => [...new Set(text.split(",").map((one) => parse(one.trim())))];
}

function arms(text: string): ArmName[] {
  return armsOf(listOf(oneOf<ArmName | ComparisonName>([...COMPARISON_NAMES, ...ARM_NAMES]))(text));
}
