import { availableParallelism, loadavg } from "node:os";
import { getNumThreads, setNumThreads } from "@iqvae/torch";
import { Command } from "commander";
import { type Config, loadConfig, PRESET_NAMES } from "../config/index.ts";
import { gigabytes, type Plan, plan, type StagePlan } from "../plan/plan.ts";
import { reductionBytes, type Scaling, scaling } from "../plan/scaling.ts";
import { consoleProgress } from "./console.ts";
import { collect, numberAbove, optionsOf, THREADS, threads, whole } from "./options.ts";
import { inDigits, inUnits } from "./units.ts";

interface PlanOptions {
  readonly set?: string[];
  readonly measure: boolean;
  readonly utilization: number;
  readonly threads?: number;
  readonly gpus?: number;
  readonly bandwidth?: number;
}

const MOST_GPUS = 65_536;

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
    .option("--gpus <count>", "also expect the pace of so many H100s that train together", whole(1, MOST_GPUS))
    .option(
      "--bandwidth <GB/s>",
      "of their bus, as busbw of nccl-tests and `iqvae doctor --group` have it (default: 430 up to 8 GPUs, 320 above)",
      numberAbove(0),
    )
    .option(...THREADS, threads)
    .action((source: string, _: unknown, command: Command) => {
      const { set = [], measure, utilization, threads, gpus, bandwidth, json } = optionsOf<PlanOptions>(command);
      const progress = consoleProgress({ json });
      if (threads !== undefined) setNumThreads(threads);
      if (bandwidth !== undefined && gpus === undefined)
        throw new Error("--bandwidth is that between GPUs: say how many by --gpus, or leave it out.");
      const config = loadConfig(source, set);
      const [load] = loadavg();
      const made = plan(config, { measure, utilization });
      const circumstances = { threads: getNumThreads(), load: load!, cores: availableParallelism() };
      const bus = bandwidth === undefined ? undefined : bandwidth * 1e9;
      const scaled = gpus === undefined ? undefined : scale(made, config.stage2.accumulate, gpus, bus);
      const lines = describe(config, made, utilization, circumstances);
      const text = [...lines, ...(scaled === undefined ? [] : describeScaling(made, scaled))].join("\n");
      const { name, data, precision } = config;
      progress.tell(text, { event: "plan", name, data, precision, utilization, ...made, ...circumstances, ...scaled });
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
    [
      ...["", "parameters", "a step", "operations", "peak memory", "here"],
      // Where the configuration says "auto", its precision is what this machine is fast in: nothing to do with an H100.
      `H100 in bfloat16 at ${Math.round(100 * utilization)} %`,
    ],
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

type Scaled = Readonly<Record<"scaling1" | "scaling2", readonly Scaling[]>>;

/** Of both stages: powers of two, and the number that was asked for. */
function scale({ stage1, stage2 }: Plan, accumulate: number, gpus: number, bus: number | undefined): Scaled {
  const counts = Array.from({ length: Math.floor(Math.log2(gpus)) + 1 }, (_, i) => 2 ** i);
  const all = [...new Set([...counts, gpus])];
  const of = (stage: StagePlan, passes: number) => all.map((count) => scaling({ ...stage, passes }, count, bus));
  return { scaling1: of(stage1, 1), scaling2: of(stage2, accumulate) };
}

function describeScaling({ stage1, stage2 }: Plan, { scaling1, scaling2 }: Scaled): string[] {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const cells = ({ allReduce, efficiency, flat }: Scaling) => [inUnits(allReduce), percent(efficiency), percent(flat)];
  const heads = ["all-reduce", "efficiency", "unhidden"];
  const rows = [
    ["GPUs", ...heads.map((head) => `${head} 1`), ...heads.map((head) => `${head} 2`)],
    ...scaling1.map((one, i) => [String(one.gpus), ...cells(one), ...cells(scaling2[i]!)]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const isReduced = scaling1.some(({ gpus }) => gpus > 1);
  const memory = (stage: StagePlan) => gigabytes(stage.peakBytes + (isReduced ? reductionBytes(stage) : 0));
  return [
    "",
    "Expected of H100s that train together, stages 1 and 2, each GPU with the batch above (a model, docs/scale.md; nothing was measured):",
    ...rows.map((row) => row.map((cell, i) => cell.padStart(widths[i]!)).join("  ")),
    `Tensors on a GPU at the worst moment, at most: ${memory(stage1)} in stage 1, ${memory(stage2)} in stage 2 ` +
      "(in bfloat16 with the scores of attention, which libtorch's operator for GPUs does not keep).",
  ];
}

function row(name: string, step: string, { parameters, operations, processBytes, here, h100 }: StagePlan): string[] {
  return [
    name,
    parameters.toLocaleString("en"),
    step,
    `${inDigits(operations / 1e12)} TFLOP`,
    gigabytes(processBytes),
    here === undefined ? "–" : inUnits(here),
    inUnits(h100),
  ];
}
