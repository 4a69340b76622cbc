import { join } from "node:path";
import { setThreads } from "@iqvae/torch";
import { Command } from "commander";
import { contactSheet, drawCondition, readCondition, type SheetRow } from "../data/index.ts";
import { ImageGenerator } from "../generator.ts";
import { writeWhole } from "../training/files.ts";
import { heldOut, heldOutPairs, SAMPLES } from "../training/pictures.ts";
import type { Progress } from "../training/progress.ts";
import { openRun, type RunFolder } from "../training/run-folder.ts";
import { openData } from "../training/train-run.ts";
import { consoleProgress } from "./console.ts";
import { collect, numberAbove, optionsOf, whole } from "./options.ts";

interface SampleCommandOptions {
  readonly condition?: string[];
  readonly index?: number[];
  readonly count: number;
  readonly seed: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP: number;
  readonly out?: string;
  readonly threads?: number;
}

/** Held-out conditions when none are named. */
const CONDITIONS = 4;

export function sampleCommand(): Command {
  return new Command("sample")
    .description("draw images for conditions with a trained run")
    .argument("<run>", "a run folder, or its name in runs/")
    .option(
      "--condition <file>",
      "a file with a condition (image, JSON or WAV, as the kind asks for), or the text itself; may be repeated",
      collect(String),
    )
    .option("--index <number>", "a held-out pair whose condition to take; may be repeated", collect(whole(0)))
    .option("--count <images>", "images for each condition", whole(1), SAMPLES)
    .option("--seed <number>", "equal seeds draw equal images", whole(0), 0)
    .option("--temperature <number>", "below 1 safer, above 1 more varied", numberAbove(0), 1)
    .option("--top-k <count>", "draw among the likeliest codes only", whole(1))
    .option("--top-p <share>", "draw among the likeliest codes that reach this probability", numberAbove(0, 1), 1)
    .option("--out <file.png>", "the picture (default: samples/sample.png in the run folder)")
    .option("--threads <count>", "threads to compute with (default: all cores)", whole(1, 4096))
    .action(async (path: string, _: unknown, command: Command) => {
      const options = optionsOf<SampleCommandOptions>(command);
      const progress = consoleProgress(options);
      if (options.threads !== undefined) setThreads(options.threads);
      const run = openRun(path);
      const generator = ImageGenerator.load(run);
      const conditions = [
        ...(await fromFiles(run, generator, options)),
        ...(await heldOutOnes(run, options, progress)),
      ];
      const out = options.out ?? join(run.samples, "sample.png");
      writeWhole(out, await contactSheet(draw(generator, conditions, options, progress)));
      const text = `${amount(conditions.length, "condition")}, ${amount(options.count, "image")} each: ${out}`;
      progress.tell(text, { event: "samples", path: out, conditions: conditions.length, count: options.count });
    });
}

/** A condition and what to show before its samples. */
interface Chosen {
  readonly raster: Uint8Array;
  readonly tiles: readonly Uint8Array[];
}

async function fromFiles(run: RunFolder, { spec }: ImageGenerator, { condition = [] }: SampleCommandOptions) {
  return await Promise.all(
    condition.map(async (file): Promise<Chosen> => {
      const raster = await readCondition(file, spec, run.config.data.size);
      return { raster, tiles: [drawCondition(raster, spec, run.config.data.size)] };
    }),
  );
}

async function heldOutOnes(
  run: RunFolder,
  { condition, index }: SampleCommandOptions,
  progress: Progress,
): Promise<Chosen[]> {
  if (condition !== undefined && index === undefined) return [];
  const dataset = await openData(run.config.data, progress);
  try {
    const { length } = dataset.validation;
    const outside = index?.find((row) => row >= length);
    if (outside !== undefined) {
      throw new RangeError(`--index ${outside}: there are ${length} held-out pairs, 0 to ${length - 1}.`);
    }
    const pairs = heldOutPairs(dataset, index ?? heldOut(dataset, CONDITIONS));
    return pairs.map(({ raster, condition: drawn, image }) => ({ raster, tiles: [drawn, image] }));
  } finally {
    dataset.close();
  }
}

function draw(
  generator: ImageGenerator,
  conditions: readonly Chosen[],
  { count, seed, temperature, topK, topP }: SampleCommandOptions,
  progress: Progress,
): SheetRow[] {
  const total = conditions.length * count;
  progress.begin("drawing images", total, 0);
  const samples = generator.draw(
    conditions.map(({ raster }) => raster),
    {
      samples: count,
      seed,
      temperature,
      topP,
      ...(topK === undefined ? {} : { topK }),
      onProgress: (share) => progress.update(Math.floor(share * total)),
    },
  );
  progress.end();
  return conditions.map(({ tiles }, i) => ({ tiles: [...tiles, ...(samples[i] ?? [])] }));
}

function amount(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
