import { availableParallelism, loadavg } from "node:os";
import { getThreads, setThreads } from "@iqvae/torch";
import { Command } from "commander";
import { type Config, loadConfig, PRESET_NAMES } from "../config/index.ts";
import { gigabytes, type Plan, plan, type StagePlan } from "../plan/plan.ts";
import { consoleProgress } from "./console.ts";
import { collect, numberAbove, optionsOf, THREADS, threads } from "./options.ts";

interface PlanOptions {
  readonly set?: string[];
  readonly measure: boolean;
  readonly utilization: number;
  readonly threads?: number;
}

export function planCommand(): Command {
  return new Command("plan")
    .description("work out what a training costs: parameters, operations, memory, time")
    .argument("<preset|config>", `${PRESET_NAMES.join(", ")}, or a JSON file`)
    .option(
      "--set <key=value>",
      "another value of a preset or file, e.g. stage1.batch=8; may be repeated",
      collect(String),
    )
    .option("--no-measure", "do not time a trial on this machine")
    .option("--utilization <share>", "share of an H100's bfloat16 peak that is reached", numberAbove(0, 1), 0.4)
    .option(...THREADS, threads)
    .action((source: string, _: unknown, command: Command) => {
      const { set = [], measure, utilization, threads, json } = optionsOf<PlanOptions>(command);
      const progress = consoleProgress({ json });
      if (threads !== undefined) setThreads(threads);
      const config = loadConfig(source, set);
      const [load] = loadavg();
      const made = plan(config, { measure, utilization });
      const circumstances = { threads: getThreads(), load: load!, cores: availableParallelism() };
      const text = describe(config, made, utilization, circumstances).join("\n");
      const { name, data, precision } = config;
      progress.tell(text, { event: "plan", name, data, precision, utilization, ...made, ...circumstances });
    });
}

/** Under which a step was timed: a load above 0 is work of others. */
interface Circumstances {
  readonly threads: number;
  readonly load: number;
  readonly cores: number;
}

function describe(
  { name, data, precision, stage1: first, stage2: second }: Config,
  { stage1, stage2, unmeasured }: Plan,
  utilization: number,
  { threads, load, cores }: Circumstances,
): string[] {
  const passes = second.accumulate === 1 ? "" : `${second.accumulate} × `;
  const rows = [
    ["", "parameters", "a step", "operations", "peak memory", "here", `H100 at ${Math.round(100 * utilization)} %`],
    row("stage 1", `${first.batch} pairs`, stage1),
    row("stage 2", `${passes}${second.batch} sequences`, stage2),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  return [
    `${name}: ${data.name}, ${data.condition}, ${data.size} × ${data.size} pixels; products in ${precision}`,
    ...rows.map((cells) =>
      cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "),
    ),
    ...(unmeasured === undefined ? [] : [`Not timed here: ${unmeasured}.`]),
    ...(stage1.here === undefined
      ? []
      : [
          `Here: from the quickest of some steps on made-up data, threads: ${threads}; ` +
            `the load before was ${load.toFixed(1)} on ${cores} cores.`,
        ]),
  ];
}

function row(name: string, step: string, { parameters, operations, processBytes, here, h100 }: StagePlan): string[] {
  return [
    name,
    parameters.toLocaleString("en"),
    step,
    `${(operations / 1e12).toPrecision(3)} TFLOP`,
    gigabytes(processBytes),
    here === undefined ? "–" : inUnits(here),
    inUnits(h100),
  ];
}

function inUnits(seconds: number): string {
  if (seconds < 1) return `${(1000 * seconds).toPrecision(3)} ms`;
  return seconds < 120 ? `${seconds.toPrecision(3)} s` : `${(seconds / 60).toFixed(1)} min`;
}
