import { join } from "node:path";
import type { SampleOptions } from "@iqvae/runtime";
import { replaceFile, setDefaultDevice, setNumThreads } from "@iqvae/torch";
import { Command } from "commander";
import { spreadRows } from "../data/index.ts";
import { contactSheet } from "../media/index.ts";
import { isExported } from "../run/exported.ts";
import { SAMPLES } from "../run/pictures.ts";
import { openRun, type RunFolder } from "../run/run-folder.ts";
import { ImageGenerator } from "../sampling/generator.ts";
import { amount } from "../support/amount.ts";
import type { Progress } from "../support/progress.ts";
import { MOST_SCALE } from "../support/schema.ts";
import { firstOfMachine, onFirst } from "../support/share.ts";
import { fromFiles, fromHeldOut } from "./choose.ts";
import { consoleProgress } from "./console.ts";
import { argumentsForEach, runLocally, startsOthers } from "./local-processes.ts";
import {
  CONDITION,
  collect,
  DEVICE,
  device,
  drawingAsked,
  numberAbove,
  optionsOf,
  outputFile,
  processesOption,
  THREADS,
  threads,
  whole,
} from "./options.ts";
import { type ExportedDrawing, sampleExported } from "./sample-exported.ts";
import { checkSheet, dataOf, drawRows, readyFor, type WayOptions, wayOf } from "./sample-way.ts";
import { joinPeers, voiceOf } from "./team.ts";

interface SampleCommandOptions extends WayOptions {
  readonly condition?: string[];
  readonly index?: number[];
  readonly seed: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly guidance?: number;
  readonly out?: string;
  readonly threads?: number;
  readonly device: string;
  readonly processes?: number;
}

/** Held-out conditions when none are named. */
const CONDITIONS = 4;

export function sampleCommand(): Command {
  return new Command("sample")
    .description("draw images for conditions with a trained run, or an exported one")
    .argument("<run>", "a run folder, its name in runs/, or a folder that export wrote")
    .option(...CONDITION, collect(String))
    .option("--index <number>", "a held-out pair whose condition to take; may be repeated", collect(whole(0)))
    .option("--count <images>", "images for each condition", whole(1), SAMPLES)
    .option("--seed <number>", "equal seeds draw equal images", whole(0), 0)
    .option(
      "--temperature <number>",
      "below 1 safer, above 1 more varied (default: as configured)",
      numberAbove(0, MOST_SCALE),
    )
    .option("--top-k <count>", "draw among the likeliest codes only", whole(1))
    .option("--top-p <share>", "draw among the likeliest codes that reach this probability", numberAbove(0, 1))
    .option(
      "--guidance <scale>",
      "above 1 follows the condition more closely, and varies less",
      numberAbove(0, MOST_SCALE),
    )
    .option("--complete <file>", "draw the rest of this image; once, or once for each condition", collect(String))
    .option("--mask <file>", "what is given of an image: light; without --complete, of the held-out pair's own")
    .option("--towards-seed <number>", "draw the images on the way from one seed to another", whole(0))
    .option("--blend", "draw the images on the way from the first condition to the second")
    .option("--size <pixels>", "draw larger images than were trained, through a sliding window", whole(1))
    .option(
      "--out <file.png>",
      "the picture (default: samples/sample.png in the run folder; sample.png here for an exported one)",
    )
    .option(...THREADS, threads)
    .option(...DEVICE, device, "cpu")
    .option(...processesOption(), threads)
    .action(async (path: string, _: unknown, command: Command) => {
      const options = optionsOf<SampleCommandOptions>(command);
      if (isExported(path)) return await drawExported(path, command, options, consoleProgress(options));
      const run = openRun(path);
      if (startsOthers(options.processes)) return await runLocally(options.processes, argumentsForEach());
      if (options.threads !== undefined) setNumThreads(options.threads);
      setDefaultDevice(options.device);
      const peers = joinPeers(options.device, options.threads);
      const progress = voiceOf(peers, consoleProgress(options));
      const out = await onFirst(peers, () =>
        outputFile(options.out, join(run.samples, "sample.png"), filesOf(options)),
      );
      const { way, generator, chosen } = await firstOfMachine(peers, () => prepare(run, options, progress));
      using _generator = generator;
      const total = (way.kind === "blend" ? 1 : chosen.length) * options.count;
      const drawing: SampleOptions = {
        ...generator.sampling,
        ...samplingOf(options),
        onProgress: (share) => progress.update(Math.floor(share * total)),
      };
      progress.begin("drawing images", total, 0);
      const rows = await drawRows(way, generator, chosen, drawing, peers);
      progress.end();
      await onFirst(peers, async () => replaceFile(out, await contactSheet(rows)));
      tellDrawn(progress, out, chosen.length, options.count, way.kind === "blend");
    });
}

/** Models and conditions. @throws Error for options and conditions that make no sense */
async function prepare(run: RunFolder, options: SampleCommandOptions, progress: Progress) {
  const way = wayOf(options, run);
  const generator = ImageGenerator.load(run);
  const data = dataOf(run, way);
  const { condition, index, count } = options;
  const chosen = [
    ...(await fromFiles(condition ?? [], generator, data.size)),
    ...(condition !== undefined && index === undefined
      ? []
      : await fromHeldOut(data, index ?? (({ validation }) => spreadRows(validation, CONDITIONS)), progress)),
  ];
  checkSheet(way, chosen, count, data.size);
  return { way, generator, chosen: await readyFor(way, chosen, data.size) };
}

function tellDrawn(progress: Progress, path: string, conditions: number, count: number, blended = false): void {
  const images = amount(count, "image");
  const what = blended
    ? `${images} from one condition to the other`
    : `${amount(conditions, "condition")}, ${images} each`;
  progress.tell(`${what}: ${path}`, { event: "samples", path, conditions, count });
}

/** What needs the image's encoder or libtorch, which an exported model is without. */
const OF_RUNS = ["complete", "mask", "towardsSeed", "blend", "size", "threads", "device", "processes"] as const;

async function drawExported(
  folder: string,
  command: Command,
  options: SampleCommandOptions,
  progress: Progress,
): Promise<void> {
  const given = (name: string) => command.getOptionValueSource(name) === "cli";
  const foreign = OF_RUNS.find(given);
  if (foreign !== undefined) {
    const flag = command.options.find((option) => option.attributeName() === foreign)!.long;
    throw new Error(`${flag} is for runs, not for exported models such as ${folder}. Name the run, or leave it out.`);
  }
  const out = outputFile(options.out, "sample.png", filesOf(options));
  const drawing: ExportedDrawing = { ...options, sampling: samplingOf(options) };
  const { picture, conditions } = await sampleExported(folder, drawing, CONDITIONS, progress);
  replaceFile(out, picture);
  tellDrawn(progress, out, conditions, options.count);
}

function filesOf({ condition = [], complete = [], mask }: SampleCommandOptions): string[] {
  return [...condition, ...complete, ...(mask === undefined ? [] : [mask])];
}

function samplingOf({ count, seed, ...options }: SampleCommandOptions): SampleOptions {
  return { samples: count, seed, ...drawingAsked(options) };
}
