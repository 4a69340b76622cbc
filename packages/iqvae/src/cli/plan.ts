import { existsSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { getThreads, setThreads } from "@iqvae/torch";
import { Command } from "commander";
import { loadConfig, PRESET_NAMES } from "../config/index.ts";
import { PAPER_PRESET_NAMES, PAPER_PRESETS } from "../config/paper.ts";
import { isPreset } from "../config/presets.ts";
import { countParameters, gigabytes, type Plan, plan, type StagePlan } from "../plan/plan.ts";
import { type Planned, plannedOf } from "../plan/planned.ts";
import { didYouMean } from "../support/nearest.ts";
import { consoleProgress } from "./console.ts";
import { collect, numberAbove, optionsOf, whole } from "./options.ts";

interface PlanOptions {
  readonly set?: string[];
  readonly measure: boolean;
  readonly utilization: number;
  readonly threads?: number;
}

export function planCommand(): Command {
  return new Command("plan")
    .description("work out what a training costs: parameters, operations, memory, time")
    .argument("<preset|config>", `${[...PAPER_PRESET_NAMES, ...PRESET_NAMES].join(", ")}, or a JSON file`)
    .option(
      "--set <key=value>",
      "another value of a preset or file, e.g. stage1.batch=8; may be repeated",
      collect(String),
    )
    .option("--no-measure", "do not time a trial on this machine")
    .option("--utilization <share>", "share of an H100's bfloat16 peak that is reached", numberAbove(0, 1), 0.4)
    .option("--threads <count>", "threads to compute with (default: all cores)", whole(1, 4096))
    .action((source: string, _: unknown, command: Command) => {
      const { set = [], measure, utilization, threads, json } = optionsOf<PlanOptions>(command);
      const progress = consoleProgress({ json });
      if (threads !== undefined) setThreads(threads);
      const planned = plannedFrom(source, set);
      const [load] = loadavg();
      const made = plan(planned, { measure, utilization });
      const counted = countParameters(planned);
      for (const stage of ["stage1", "stage2"] as const) {
        if (counted[stage] !== made[stage].parameters)
          throw new Error(
            `The plan of ${stage} has ${made[stage].parameters} parameters, but its network has ${counted[stage]}: ` +
              `the plan does not describe this network.`,
          );
      }
      const circumstances = { threads: getThreads(), load: load!, cores: availableParallelism() };
      progress.tell(describe(made, circumstances).join("\n"), { event: "plan", ...facts(made), ...circumstances });
    });
}

function plannedFrom(source: string, set: readonly string[]): Planned {
  if (Object.hasOwn(PAPER_PRESETS, source)) {
    if (set.length > 0) throw new Error(`--set: ${source} is only there to plan with, and has no values to set.`);
    return PAPER_PRESETS[source as keyof typeof PAPER_PRESETS];
  }
  if (!isPreset(source) && !existsSync(source))
    throw new Error(
      `'${source}' is neither a preset nor a file; ${didYouMean(source, [...PAPER_PRESET_NAMES, ...PRESET_NAMES])}`,
    );
  return plannedOf(loadConfig(source, set));
}

/** Under which a step was timed: a load above 0 is work of others. */
interface Circumstances {
  readonly threads: number;
  readonly load: number;
  readonly cores: number;
}

function describe(
  { planned, utilization, stage1, stage2, unmeasured }: Plan,
  { threads, load, cores }: Circumstances,
): string[] {
  const rows = [
    ["", "parameters", "a step", "operations", "peak memory", "here", `H100 at ${Math.round(100 * utilization)} %`],
    row("stage 1", stage1, "pairs"),
    row("stage 2", stage2, "sequences"),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)));
  return [
    `${planned.name}: ${planned.data}; products in ${planned.precision}`,
    ...rows.map((cells) =>
      cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "),
    ),
    ...(unmeasured === undefined ? [] : [`Not timed here: ${unmeasured}.`]),
    ...(stage1.here === undefined
      ? []
      : [
          `Here: from the quickest of some passes on made-up data, threads: ${threads}; ` +
            `the load before was ${load.toFixed(1)} on ${cores} cores.`,
        ]),
  ];
}

function row(name: string, stage: StagePlan, items: string): string[] {
  const { parameters, batch, passes, operations, memory, here, h100 } = stage;
  return [
    name,
    parameters.toLocaleString("en"),
    `${passes === 1 ? "" : `${passes} × `}${batch} ${items}`,
    `${(operations / 1e12).toPrecision(3)} TFLOP`,
    gigabytes(memory.peak),
    here === undefined ? "–" : duration(here),
    duration(h100),
  ];
}

function duration(seconds: number): string {
  if (seconds < 1) return `${(1000 * seconds).toPrecision(3)} ms`;
  return seconds < 120 ? `${seconds.toPrecision(3)} s` : `${(seconds / 60).toFixed(1)} min`;
}

function facts({ planned, utilization, stage1, stage2 }: Plan): Record<string, unknown> {
  return { name: planned.name, data: planned.data, precision: planned.precision, utilization, stage1, stage2 };
}
