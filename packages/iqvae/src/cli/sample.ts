import { join } from "node:path";
import type { SampleOptions } from "@iqvae/runtime";
import { replaceFile, setDefaultDevice, setNumThreads } from "@iqvae/torch";
import { Command } from "commander";
import { IMAGE_SIZES, type OpenRequest, spreadRows } from "../data/index.ts";
import {
  contactSheet,
  type PartialImage,
  readMask,
  readPartialImage,
  type SheetRow,
  sheetSize,
} from "../media/index.ts";
import { isExported } from "../run/exported.ts";
import { SAMPLES } from "../run/pictures.ts";
import { openRun, type RunFolder } from "../run/run-folder.ts";
import { ImageGenerator } from "../sampling/generator.ts";
import type { Progress } from "../support/progress.ts";
import { type Chosen, fromFiles, fromHeldOut } from "./choose.ts";
import { consoleProgress } from "./console.ts";
import { collect, DEVICE, device, numberAbove, optionsOf, outputFile, THREADS, threads, whole } from "./options.ts";
import { type ExportedDrawing, sampleExported } from "./sample-exported.ts";

interface SampleCommandOptions {
  readonly condition?: string[];
  readonly index?: number[];
  readonly count: number;
  readonly seed: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly guidance?: number;
  readonly complete?: string[];
  readonly mask?: string;
  readonly towardsSeed?: number;
  readonly blend?: true;
  readonly size?: number;
  readonly out?: string;
  readonly threads?: number;
  readonly device: string;
}

/** Held-out conditions when none are named. */
const CONDITIONS = 4;

export function sampleCommand(): Command {
  return new Command("sample")
    .description("draw images for conditions with a trained run, or an exported one")
    .argument("<run>", "a run folder, its name in runs/, or a folder that export wrote")
    .option(
      "--condition <file>",
      "a file with a condition (image, JSON or WAV, as the kind asks for), or the text itself; may be repeated",
      collect(String),
    )
    .option("--index <number>", "a held-out pair whose condition to take; may be repeated", collect(whole(0)))
    .option("--count <images>", "images for each condition", whole(1), SAMPLES)
    .option("--seed <number>", "equal seeds draw equal images", whole(0), 0)
    .option("--temperature <number>", "below 1 safer, above 1 more varied (default: as configured)", numberAbove(0))
    .option("--top-k <count>", "draw among the likeliest codes only", whole(1))
    .option("--top-p <share>", "draw among the likeliest codes that reach this probability", numberAbove(0, 1))
    .option("--guidance <scale>", "above 1 follows the condition more closely, and varies less", numberAbove(0))
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
    .action(async (path: string, _: unknown, command: Command) => {
      const options = optionsOf<SampleCommandOptions>(command);
      const progress = consoleProgress(options);
      if (isExported(path)) return await drawExported(path, command, options, progress);
      if (options.threads !== undefined) setNumThreads(options.threads);
      setDefaultDevice(options.device);
      const run = openRun(path);
      const out = outputFile(options.out, join(run.samples, "sample.png"));
      const way = wayOf(options, run);
      using generator = ImageGenerator.load(run);
      const data = dataOf(run, way);
      const { condition, index } = options;
      const chosen = [
        ...(await fromFiles(condition ?? [], generator, data.size)),
        ...(condition !== undefined && index === undefined
          ? []
          : await fromHeldOut(data, index ?? (({ validation }) => spreadRows(validation, CONDITIONS)), progress)),
      ];
      checkSheet(way, chosen, options.count, data.size);
      const total = (way.kind === "blend" ? 1 : chosen.length) * options.count;
      const drawing: SampleOptions = {
        ...generator.sampling,
        ...samplingOf(options),
        onProgress: (share) => progress.update(Math.floor(share * total)),
      };
      const draw = await drawer(way, generator, chosen);
      progress.begin("drawing images", total, 0);
      const rows = draw(drawing);
      progress.end();
      replaceFile(out, await contactSheet(rows));
      tellDrawn(progress, out, chosen.length, options.count);
    });
}

function tellDrawn(progress: Progress, path: string, conditions: number, count: number): void {
  const text = `${amount(conditions, "condition")}, ${amount(count, "image")} each: ${path}`;
  progress.tell(text, { event: "samples", path, conditions, count });
}

/** What needs the image's encoder or libtorch, which an exported model is without. */
const OF_RUNS = ["complete", "mask", "towardsSeed", "blend", "size", "threads", "device"] as const;

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
    throw new Error(
      `${flag} draws with runs, not with exported models such as ${folder}. Name the run, or leave it out.`,
    );
  }
  const out = outputFile(options.out, "sample.png");
  const drawing: ExportedDrawing = { ...options, sampling: samplingOf(options) };
  const { picture, conditions } = await sampleExported(folder, drawing, CONDITIONS, progress);
  replaceFile(out, picture);
  tellDrawn(progress, out, conditions, options.count);
}

/** What was asked for; all else is as the model's configuration says. */
function samplingOf({ count, seed, temperature, topK, topP, guidance }: SampleCommandOptions): SampleOptions {
  const wanted = { temperature, topK, topP, guidance };
  const given = Object.entries(wanted).filter(([, value]) => value !== undefined);
  return { samples: count, seed, ...Object.fromEntries(given) };
}

/** What to draw. */
type Way =
  | { readonly kind: "plain" }
  | { readonly kind: "complete"; readonly files: readonly string[]; readonly mask: string | undefined }
  | { readonly kind: "seeds"; readonly to: number; readonly count: number }
  | { readonly kind: "blend"; readonly count: number }
  | { readonly kind: "larger"; readonly size: number };

/** @throws Error when options exclude one another */
function wayOf(options: SampleCommandOptions, { config }: RunFolder): Way {
  const { complete, mask, towardsSeed, blend, size, count } = options;
  const ways: [string, Way][] = [];
  if (complete !== undefined || mask !== undefined)
    ways.push([complete === undefined ? "--mask" : "--complete", { kind: "complete", files: complete ?? [], mask }]);
  if (towardsSeed !== undefined) ways.push(["--towards-seed", { kind: "seeds", to: towardsSeed, count }]);
  if (blend) ways.push(["--blend", { kind: "blend", count }]);
  if (size !== undefined && size !== config.data.size) ways.push(["--size", { kind: "larger", size }]);
  const [first, second] = ways;
  if (second !== undefined) throw new Error(`${first![0]} and ${second[0]} draw in different ways. Give one of them.`);
  return first?.[1] ?? { kind: "plain" };
}

/** The data that held-out pairs come from: those of the run, or larger ones. */
function dataOf({ config }: RunFolder, way: Way): OpenRequest {
  if (way.kind !== "larger") return config.data;
  const size = IMAGE_SIZES.find((each) => each === way.size && each > config.data.size);
  if (size !== undefined) return { ...config.data, size };
  const larger = IMAGE_SIZES.filter((each) => each > config.data.size);
  throw new RangeError(
    `--size ${way.size}: expected a size above the ${config.data.size} pixels of the training, ` +
      `${larger.length === 0 ? "but there is none" : `one of ${larger.join(", ")}`}.`,
  );
}

/** Fails before images are drawn that would not fit into one picture. */
function checkSheet(way: Way, chosen: readonly Chosen[], count: number, size: number): void {
  const drawn = way.kind === "complete" ? count + 1 : count;
  const rows = chosen.map(({ name, tiles }) => ({ label: name, tiles: tiles.length + drawn }));
  sheetSize(way.kind === "blend" ? [{ label: "blend", tiles: count + 2 }] : rows, size);
}

/** Prepares what a way needs and gives the function that draws. */
async function drawer(
  way: Way,
  generator: ImageGenerator,
  chosen: readonly Chosen[],
): Promise<(options: SampleOptions) => SheetRow[]> {
  const rasters = chosen.map(({ raster }) => raster);
  const rows = (images: readonly (readonly Uint8Array[])[]): SheetRow[] =>
    chosen.map(({ name, tiles }, i) => ({ label: name, tiles: [...tiles, ...(images[i] ?? [])] }));
  switch (way.kind) {
    case "plain":
      return (options) => rows(generator.draw(rasters, options));
    case "complete": {
      const given = await givenImages(way, generator.config.data.size, chosen);
      return (options) =>
        generator.complete(rasters, given, options).map((images, i) => ({
          label: chosen[i]!.name,
          tiles: [...chosen[i]!.tiles, shownGiven(given[i]!), ...images],
        }));
    }
    case "seeds":
      return (options) => rows(betweenSeeds(way, generator, rasters, options));
    case "blend": {
      const [from, to, ...more] = chosen;
      if (from === undefined || to === undefined || more.length > 0)
        throw new Error(
          `--blend takes two conditions, but got ${chosen.length}. Name two with --index or --condition.`,
        );
      return (options) => {
        const images = generator.blend(from.raster, to.raster, steps(way.count), { ...options, samples: 1 }).flat();
        return [{ label: `${from.name} → ${to.name}`, tiles: [from.tiles[0]!, ...images, to.tiles[0]!] }];
      };
    }
    case "larger": {
      const { size } = way;
      return (options) => rows(generator.drawLarger(rasters, { ...options, size: { height: size, width: size } }));
    }
  }
}

/** `count` shares from 0 to 1. */
function steps(count: number): number[] {
  return Array.from({ length: count }, (_, i) => (count === 1 ? 0 : i / (count - 1)));
}

function betweenSeeds(
  { to, count }: { readonly to: number; readonly count: number },
  generator: ImageGenerator,
  rasters: readonly Uint8Array[],
  options: SampleOptions,
): Uint8Array[][] {
  const frames = steps(count).map((share, i) =>
    generator.draw(rasters, {
      ...options,
      samples: 1,
      noise: { kind: "between", to, share },
      onProgress: (part) => options.onProgress?.((i + part) / count),
    }),
  );
  return rasters.map((_, i) => frames.map((frame) => frame[i]![0]!));
}

async function givenImages(
  { files, mask }: { readonly files: readonly string[]; readonly mask: string | undefined },
  size: number,
  chosen: readonly Chosen[],
): Promise<PartialImage[]> {
  if (files.length > 1 && files.length !== chosen.length)
    throw new Error(
      `--complete: expected one file, or one for each of ${chosen.length} conditions, got ${files.length}.`,
    );
  if (files.length > 0) {
    const read = await Promise.all(files.map((file) => readPartialImage(file, mask, size)));
    return chosen.map((_, i) => read[i] ?? read[0]!);
  }
  const shared = await readMask(mask!, size);
  return chosen.map(({ image }) => {
    if (image === undefined)
      throw new Error("--mask: a condition from a file has no image of its own. Name one with --complete.");
    return { image, mask: shared };
  });
}

/** What is given, on gray. */
function shownGiven({ image, mask }: PartialImage): Uint8Array {
  return image.map((value, i) => (mask[Math.floor(i / 3)] === 0 ? 128 : value));
}

function amount(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
